//go:build !failpoint

package failpoint

// Hit marks a point. Without the build tag it does nothing.
func Hit(string) {}
