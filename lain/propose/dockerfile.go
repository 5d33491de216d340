package propose

import (
	"regexp"
	"strconv"
)

func (t tree) hasDockerfile() bool { return t.has("Dockerfile") }

var exposed = regexp.MustCompile(`(?im)^[ \t]*EXPOSE[ \t]+([0-9]{1,5})(?:/tcp)?(?:[ \t]|$)`)

// writeDockerfile builds with the Dockerfile. What runs is the image's own command.
func writeDockerfile(t tree, d *draft) error {
	text, err := t.read("Dockerfile")
	if err != nil {
		return err
	}
	d.dockerfile, d.port = "Dockerfile", 8080
	if all := exposed.FindAllStringSubmatch(text, -1); len(all) > 0 {
		if port, err := strconv.Atoi(all[len(all)-1][1]); err == nil && port > 0 && port < 65536 {
			d.port = port
			return nil
		}
	}
	d.note("The Dockerfile exposes no port: the program is taken to listen on 8080, or on $PORT.")
	return nil
}
