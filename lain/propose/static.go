package propose

// pages is where the image of nginx serves files from.
const pages = "/usr/share/nginx/html/"

func (t tree) hasStatic() bool { return t.static() != "" }

// static is the folder with the pages.
func (t tree) static() string {
	switch t.first("index.html", "public/index.html") {
	case "index.html":
		return "."
	case "public/index.html":
		return "public"
	}
	return ""
}

// writeStatic takes nginx as base of the build, and releases that image.
func writeStatic(t tree, d *draft) error {
	d.base, d.port = "nginx:stable", 80
	if dir := t.static(); dir != "." {
		d.build = []string{"cp -r " + dir + "/. " + pages}
		return nil
	}
	d.build = []string{"cp -r ./* " + pages, "rm -f " + pages + "lain.yaml"}
	return nil
}
