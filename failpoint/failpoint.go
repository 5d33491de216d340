// Package failpoint lets a test kill the process right before or after any write it makes.
//
// A call of Hit costs nothing in a released binary: it does something only when built with
// "-tags failpoint". There, LAIN_FAILPOINT_LOG=FILE appends the name of every point that is passed, and
// LAIN_FAILPOINT=NAME#N ends the process by SIGKILL at the Nth time NAME is passed. With
// LAIN_FAILPOINT_ARM=FILE both, and the counting, only happen while that file is there.
package failpoint

// Around hits NAME:before, runs write, and hits NAME:after.
func Around(name string, write func() error) error {
	Hit(name + ":before")
	err := write()
	Hit(name + ":after")
	return err
}
