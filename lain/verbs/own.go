package verbs

// Shared are commands of the client's own that the server has as well: the client's do all that the server's do, and
// more on this side.
var Shared = []string{"open"}

// What the client takes for itself, so that no other verb of the server may have it.
var (
	Own        = []string{"create", "open", "init", "manifest", "completion"}
	Flags      = []string{"remote", "app", "host"}
	Shorthands = []string{"r", "a"}
)
