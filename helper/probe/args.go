package probe

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"
)

// The defaults of the options, and the margin that EngineTimeout adds for the engine's own work.
const (
	DefaultTimeout  = 3 * time.Second
	DefaultInterval = 5 * time.Second
	DefaultState    = "/dev/shm/.lain-probe"
	margin          = 5 * time.Second
)

// EngineTimeout is the shortest health check timeout the engine may have for a probe with these options.
func EngineTimeout(interval, timeout, settle time.Duration) time.Duration {
	return max(interval, timeout+settle) + timeout + margin
}

// question is what the command line asks for: exactly one of http, tcp, argv and alive is set.
type question struct {
	http     *target
	tcp      string // host:port
	argv     []string
	alive    bool // nothing is asked: as long as a probe can run, the container does
	timeout  time.Duration
	interval time.Duration // 0: never sleep
	settle   time.Duration // that the first success has to last; 0: it counts at once
	state    string
}

// target is an http URL taken apart.
type target struct {
	address string // host:port to dial
	path    string // begins with "/", with the query
}

var errOne = errors.New("exactly one of --http, --tcp, --exec and --alive is wanted")

// parse reads "--name value" and "--name=value" up to "--"; what follows is the command of --exec.
func parse(args []string) (question, error) {
	q := question{timeout: DefaultTimeout, interval: DefaultInterval, state: DefaultState}
	command, kinds := false, 0
	for len(args) > 0 && args[0] != "--" {
		name, value, rest, err := option(args)
		if err != nil {
			return q, err
		}
		switch args = rest; name {
		case "--exec":
			command = true
			kinds++
		case "--alive":
			q.alive = true
			kinds++
		case "--http", "--tcp":
			kinds++
			err = q.address(name, value)
		default:
			err = q.setting(name, value)
		}
		if err != nil {
			return q, err
		}
	}
	if kinds != 1 {
		return q, errOne
	}
	return q, q.command(command, args)
}

// option takes one option off args. --exec and --alive have no value, every other has one.
func option(args []string) (name, value string, rest []string, err error) {
	name, value, joined := strings.Cut(args[0], "=")
	switch {
	case args[0] == "--exec", args[0] == "--alive":
		return name, "", args[1:], nil
	case name == "--exec":
		return "", "", nil, errors.New("--exec takes its command after --")
	case name == "--alive":
		return "", "", nil, errors.New("--alive takes no value")
	case joined:
		return name, value, args[1:], nil
	case len(args) < 2:
		return "", "", nil, errors.New(args[0] + " needs a value")
	}
	return name, args[1], args[2:], nil
}

func (q *question) address(name, value string) (err error) {
	if name == "--http" {
		q.http, err = parseURL(value)
		return err
	}
	q.tcp, err = parseAddress(value)
	return err
}

func (q *question) setting(name, value string) (err error) {
	switch name {
	case "--timeout":
		if q.timeout, err = time.ParseDuration(value); err == nil && q.timeout <= 0 {
			err = errors.New("--timeout must be more than 0")
		}
	case "--interval":
		if q.interval, err = time.ParseDuration(value); err == nil && q.interval < 0 {
			err = errors.New("--interval must not be negative")
		}
	case "--settle":
		if q.settle, err = time.ParseDuration(value); err == nil && q.settle < 0 {
			err = errors.New("--settle must not be negative")
		}
	case "--state":
		q.state = value
	default:
		err = errors.New("there is no option " + name)
	}
	return err
}

func (q *question) command(wanted bool, args []string) error {
	given := len(args) > 1
	switch {
	case wanted && !given:
		return errors.New("--exec needs a command: --exec -- COMMAND [ARGUMENT...]")
	case !wanted && len(args) > 0:
		return errors.New("a command after -- is for --exec only")
	case wanted:
		q.argv = args[1:]
	}
	return nil
}

// parseURL takes http://HOST[:PORT][/PATH][?QUERY]. It is stricter than URLs are: no user, no fragment,
// nothing that could end the request line.
func parseURL(s string) (*target, error) {
	bad := errors.New("--http takes http://HOST:PORT/PATH, not " + strconv.Quote(s))
	rest, ok := strings.CutPrefix(s, "http://")
	if !ok {
		return nil, bad
	}
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] == 0x7f || rest[i] == '#' {
			return nil, bad
		}
	}
	cut := strings.IndexAny(rest, "/?")
	if cut < 0 {
		cut = len(rest)
	}
	authority, path := rest[:cut], rest[cut:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	address, err := parseAddress(authority)
	if err != nil {
		address, err = parseAddress(authority + ":80")
	}
	if err != nil || strings.Contains(authority, "@") {
		return nil, bad
	}
	return &target{address: address, path: path}, nil
}

func parseAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return "", errors.New(strconv.Quote(s) + " is not HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New(strconv.Quote(port) + " is not a port")
	}
	return net.JoinHostPort(host, port), nil
}
