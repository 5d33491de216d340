package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// options is what the flags and the environment ask for.
type options struct {
	version    string        // one line
	port       int           // $PORT
	unhealthy  bool          // /healthz answers 500
	crash      bool          // print, then exit 3
	crashAfter time.Duration // serve, then exit 3; 0: never
	oom        bool          // allocate until killed
	wrongPort  bool          // listen on port+1
	delay      time.Duration // before listening
	drain      time.Duration // for what is in flight at the end; 0: drainTime
	lines      int           // to print before anything else
	worker     bool          // no server: print ticks
	tick       time.Duration // between two ticks of a worker
	needs      string        // URL that has to answer 200, at the start and all the time; "": none
	show       []string      // files to print before anything else
}

// parse reads the flags. The version is -version, or the first line of -version-file, or $VERSION, or of
// the file that $VERSION_FILE names, or of ./VERSION, or "v0".
func parse(args []string, getenv func(string) string) (options, error) {
	var o options
	var file string
	f := flag.NewFlagSet("testapp", flag.ContinueOnError)
	f.StringVar(&o.version, "version", getenv("VERSION"), "what to call this version")
	f.StringVar(&file, "version-file", getenv("VERSION_FILE"), "file whose first line is the version")
	f.BoolVar(&o.unhealthy, "unhealthy", false, "answer 500 on /healthz")
	f.BoolVar(&o.crash, "crash", false, "print a line and exit 3")
	f.DurationVar(&o.crashAfter, "crash-after", 0, "serve for so long, then exit 3")
	f.BoolVar(&o.oom, "oom", false, "allocate memory until killed")
	f.BoolVar(&o.wrongPort, "wrong-port", false, "listen on $PORT+1")
	f.DurationVar(&o.delay, "delay", 0, "wait before listening")
	f.DurationVar(&o.drain, "drain", 0, "wait so long for what is in flight at the end (default 10s)")
	f.IntVar(&o.lines, "lines", 0, "print so many lines first")
	f.StringVar(&o.needs, "needs", "", "exit 4 as soon as this URL does not answer 200; it is asked with ?at=start, then with ?at=work")
	f.BoolVar(&o.worker, "worker", false, "serve nothing, print numbered ticks")
	f.DurationVar(&o.tick, "tick", time.Second, "wait so long between two ticks of a worker")
	f.Func("print-file", "print this file first, as a program does that is careless with its secrets (may be repeated)", func(path string) error {
		o.show = append(o.show, path)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete(file, getenv("PORT"))
}

func (o *options) complete(file, port string) error {
	if o.version == "" {
		if file == "" {
			file = "VERSION"
		}
		o.version = firstLine(file)
	}
	o.port = 8080
	if port == "" {
		return nil
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65534 {
		fmt.Fprintf(os.Stderr, "testapp: PORT is %q, which is no port\n", port)
		return fmt.Errorf("PORT is %q", port)
	}
	o.port = n
	return nil
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if err != nil || line == "" {
		return "v0"
	}
	return line
}
