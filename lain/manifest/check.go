package manifest

// Check is what there is to say about a lain.yaml, for a person or an editor. name is the name people are told. There
// is an error among the findings exactly when a push of the file would be refused for the file itself.
func Check(name string, data []byte) Findings {
	_, findings := Parse(name, data)
	return findings
}
