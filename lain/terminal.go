package lain

// Terminal is a person's, at the other end of a session.
type Terminal struct {
	Name    string            // as in TERM; "": unknown
	Size    TerminalSize      // at the beginning
	Resized chan TerminalSize // its new sizes; of several that nobody took the last
}

// TerminalSize is that of a terminal in characters; 0: unknown.
type TerminalSize struct{ Columns, Rows int }
