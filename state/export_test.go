package state

// Acceptable reports whether Load would take a record.
func Acceptable(r Raw) bool { return checkRaw(r) == nil }
