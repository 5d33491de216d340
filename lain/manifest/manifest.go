package manifest

import (
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Manifest is a lain.yaml that can be acted on. Lines are 1-based places in the file.
type Manifest struct {
	AppName lain.AppName
	Build   Build
	Release *Release // nil: the build image is released as it is
	Test    *Test    // nil: nothing to test
	Procs   []Proc   // in the order of the file; only those of a type that is served

	Others       []Proc        // those of a type that is not served yet: portal and cron
	Template     bool          // apptype: resource; values with {{ are in Templates and count as not written
	GitURL       string        // "": not written
	Notify       []Setting     // slack, bearychat, ...
	UseServices  []UseService  // in the order of the file
	UseResources []UseResource // in the order of the file

	src      *source
	nameLine int
}

// NameLine is the line of appname.
func (m *Manifest) NameLine() int { return m.nameLine }

// Build says how the build image is made.
type Build struct {
	Base           string        // image reference, as written
	Script         []string      // entries as written; each runs in a shell of its own
	Prepare        *Prepare      // nil: none
	Args           []string      // K=V
	Volumes        []string      // absolute and clean, each once: kept from build to build
	Secrets        []BuildSecret // each name once
	Dockerfile     string        // path in the tree; "": none. With one there is no Base, Prepare, Script, Volumes or Release
	Target         string        // stage of the Dockerfile; "": the last
	Line           int           // of the key build
	DockerfileLine int           // 0: not written
	BaseLine       int           // of its base
}

// Prepare is the part of a build that is kept from one push to the next.
type Prepare struct {
	Version string // [a-zA-Z0-9]+, or "" when none is written
	Script  []string
	Keep    []string // names at the top of the tree that stay after the scripts
	Args    []string // K=V
	Inputs  []string // paths in the tree whose content makes it a new prepare
	Line    int
}

// Release says how the released image is made from the build image.
type Release struct {
	DestBase     string // image reference, as written; "": the build image (then Copy is empty)
	Script       []string
	Copy         []Copy
	Line         int
	DestBaseLine int
}

// Copy carries a path of the build image into the release image. Src may hold globs and $VARIABLES of the
// build image's environment.
type Copy struct {
	Src, Dest string
}

// Test says how a build image is tested.
type Test struct {
	Script []string
	Line   int
}

// Proc is one proc of the application, with LAIN's defaults filled in.
type Proc struct {
	Name        lain.ProcName
	Type        lain.ProcType
	Image       string        // foreign image reference, as written; "": the release image
	Entrypoint  []string      // nil: the image's
	Cmd         []string      // nil: the image's
	Env         []string      // K=V, in the order written
	Instances   int           // 0..500; 1 when not written
	MemoryBytes int64         // limit; 0: not written
	CPULevel    int           // LAIN's share 0..8; 0: no limit
	Port        int           // the first of Exposed if it is TCP; 0: none; 80 for a web proc that names none
	Exposed     []Exposed     // all that port names
	User        string        // "": the image's
	Workdir     string        // absolute; "": the image's
	HealthPath  string        // begins with "/"; "": none; only where there is a port
	SetupTime   time.Duration // 0..120 s
	KillTimeout time.Duration // 10..60 s; 10 s when not written
	Deadline    time.Duration // to be healthy after SetupTime; 0: not written
	Mountpoint  []string      // as written; web procs only. Routes reads it
	HTTPSOnly   bool          // web procs only

	SecretFiles       []SecretFile     // in the order written, each path once
	SecretFilesBypass bool             // deploy although the vault lacks some of SecretFiles
	ContainerHealth   *ContainerHealth // nil: neither container_healthcheck nor health says anything

	// What is read and checked, and not served yet.

	StreamPorts   []StreamPort   // ports of the cluster
	Labels        []Label        // each key once
	Filters       []string       // with LAIN's default filled in; nil: any node
	Stateful      bool           // stays with its node even if that is lost
	DNSSearch     []string       // as written, without the application's own
	Volumes       []Volume       // each path once
	CloudVolumes  *CloudVolumes  // nil: none
	SharedVolumes []SharedVolume // ein-plus
	Logs          []string       // names below /lain/logs, each once
	ServiceName   string         // portals only
	AllowClients  []string       // portals only: applications; "**": all
	Schedule      string         // cron procs only
	Templates     []Template     // of a Manifest that is a template

	Line      int // of the section
	ImageLine int // of image; 0: not written

	mounts []place // of each Mountpoint
	memory string  // as written
}

// place is a position in the file.
type place struct{ line, column int }

// At returns a copy of f that points at a line of the lain.yaml the manifest was read from, so that what is
// found later (an image that cannot be had, a host that is taken) can show its line too.
func (m *Manifest) At(line int, f *fault.Fault) *fault.Fault {
	return m.at(place{line: line}, f)
}

func (m *Manifest) at(p place, f *fault.Fault) *fault.Fault {
	if m.src == nil {
		return f
	}
	return f.At(m.src.file, p.line, p.column, m.src.line(p.line))
}
