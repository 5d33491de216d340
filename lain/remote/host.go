package remote

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"lain.internal/lain/lain"
)

// Host is where a Lain listens, as ssh is told of it. What is left out is for ssh's own configuration to say.
type Host struct {
	User string // none if empty
	Name string // an alias of ssh's configuration, a host name or an address, without brackets
	Port int    // none if 0
}

// Bounds on names, in characters.
const (
	maxUser = 64
	maxName = 253
)

// ParseHost reads "lain", "lain@host" or "ssh://lain@host:2222", or says in one sentence why it cannot.
func ParseHost(s string) (Host, error) {
	if rest, ok := strings.CutPrefix(s, "ssh://"); ok {
		h, path, err := parseAuthority(rest)
		if err == nil && strings.Trim(path, "/") != "" {
			err = fmt.Errorf("%q names more than a host: leave out what stands behind it", s)
		}
		return h, err
	}
	user, name, _ := cutUser(s)
	return checked(Host{User: user, Name: strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")})
}

// ParseURL reads the URL of a git remote at a Lain: ssh://[user@]host[:port]/app or [user@]host:app. Any other URL is
// an error, with a sentence that says what a remote looks like.
func ParseURL(raw string) (Host, lain.AppName, error) {
	h, path, err := parseURL(raw)
	if err != nil {
		return Host{}, "", err
	}
	app, err := lain.ParseAppName(strings.TrimSuffix(strings.TrimPrefix(path, "/"), ".git"))
	if err != nil {
		return Host{}, "", fmt.Errorf("%q is not the remote of an application: it looks like lain:APP or ssh://lain@HOST:2222/APP", raw)
	}
	return h, app, nil
}

func parseURL(raw string) (Host, string, error) {
	if rest, ok := strings.CutPrefix(raw, "ssh://"); ok {
		return parseAuthority(rest)
	}
	return parseShort(raw)
}

// parseAuthority reads what stands behind ssh://. A percent sign has no place in it.
func parseAuthority(rest string) (Host, string, error) {
	u, err := url.Parse("ssh://" + rest)
	if err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(rest, "%") {
		return Host{}, "", fmt.Errorf("%q is not a URL of ssh", "ssh://"+rest)
	}
	h := Host{User: u.User.Username(), Name: u.Hostname()}
	if _, has := u.User.Password(); has {
		return Host{}, "", fmt.Errorf("a password has no place in the URL of a remote")
	}
	if port := u.Port(); port != "" {
		if h.Port, err = strconv.Atoi(port); err != nil || h.Port < 1 || h.Port > 65535 {
			return Host{}, "", fmt.Errorf("%q is not a port", port)
		}
	}
	h, err = checked(h)
	return h, u.Path, err
}

// parseShort reads [user@]host:path. As git has it, a slash before the first colon makes it a file.
func parseShort(raw string) (Host, string, error) {
	user, rest, _ := cutUser(raw)
	name, path, ok := strings.Cut(rest, ":")
	if strings.HasPrefix(rest, "[") {
		name, path, ok = strings.Cut(rest[1:], "]:")
	}
	if !ok {
		return Host{}, "", fmt.Errorf("%q is not a remote that ssh reaches", raw)
	}
	h, err := checked(Host{User: user, Name: name})
	return h, path, err
}

func cutUser(s string) (user, rest string, ok bool) {
	if user, rest, ok = strings.Cut(s, "@"); ok && !strings.ContainsAny(user, ":/") {
		if user == "" {
			user = "@" // checked refuses it
		}
		return user, rest, true
	}
	return "", s, false
}

// checked keeps a name that came with a repository from being taken for an option or anything else by ssh.
func checked(h Host) (Host, error) {
	if h.User != "" && !plain(h.User, maxUser) {
		return Host{}, fmt.Errorf("%q is not a user's name for ssh", h.User)
	}
	if addr, err := netip.ParseAddr(h.Name); err == nil && addr.Zone() == "" {
		return h, nil
	}
	if !plain(h.Name, maxName) {
		return Host{}, fmt.Errorf("%q is not a host's name", h.Name)
	}
	return h, nil
}

// plain says whether a name is made of letters, digits and "_", and behind the first of them of "." and "-" as well.
func plain(name string, most int) bool {
	for i, c := range []byte(name) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// Args are the arguments that lead ssh there. What follows them is the command.
func (h Host) Args() []string {
	var args []string
	if h.Port != 0 {
		args = append(args, "-p", strconv.Itoa(h.Port))
	}
	if h.User != "" {
		args = append(args, "-l", h.User)
	}
	return append(args, "--", h.Name)
}

// String is the host as ParseHost reads it.
func (h Host) String() string {
	if h.Port == 0 {
		return h.at() + h.Name
	}
	return fmt.Sprintf("ssh://%s%s:%d", h.at(), h.bracketed(), h.Port)
}

// URL is the remote of an application there: short where the host has no port.
func (h Host) URL(app lain.AppName) string {
	if h.Port != 0 {
		return h.String() + "/" + string(app)
	}
	return h.at() + h.bracketed() + ":" + string(app)
}

// bracketed is the name where a colon has a meaning.
func (h Host) bracketed() string {
	if strings.Contains(h.Name, ":") {
		return "[" + h.Name + "]"
	}
	return h.Name
}

func (h Host) at() string {
	if h.User == "" {
		return ""
	}
	return h.User + "@"
}
