package verbs

// What the client takes for itself, so that no verb of the server may have it.
var (
	Own        = []string{"create", "open", "init", "manifest", "completion"}
	Flags      = []string{"remote", "app", "host"}
	Shorthands = []string{"r", "a"}
)
