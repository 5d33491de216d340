// Package propose writes a first lain.yaml for a tree that has none.
//
// It looks for what a language's own tools look for (go.mod, package.json, requirements.txt, pyproject.toml,
// index.html), for lock files and for a Procfile, and writes the plainest file that could work: public base images,
// the language's usual commands, port 8080. It is a proposal to be read and changed. What it writes has no finding
// by package manifest. It runs nothing, and where it would have to guess, it refuses in a sentence.
package propose
