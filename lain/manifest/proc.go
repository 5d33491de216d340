package manifest

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"lain.internal/lain/lain"
)

// The limits of what a proc may ask for.
const (
	maxInstances = lain.MostInstances
	maxCPULevel  = 8
	maxSetup     = 120 // seconds (LAIN 1.6)
	minKill      = 10
	maxKill      = 60
	maxDeadline  = 3600
	webPort      = 80
)

// proc reads the keys of a proc into p. It is one list of keys, hence its length.
func (r *procReader) proc(key, v *node, p *Proc) {
	label := show(key.text)
	p.Instances, p.KillTimeout = 1, minKill*time.Second
	is := func(name string) string { return label + "." + name }
	var workingDir string
	var dirs []Volume
	r.section(proc, label, v, takers{
		"type":          func(k, v *node) { r.strayType(key, k) },
		"image":         func(_, v *node) { p.Image, p.ImageLine = r.image(v, is("image")), v.line },
		"entrypoint":    func(_, v *node) { p.Entrypoint = r.command(v, is("entrypoint")) },
		"cmd":           func(_, v *node) { p.Cmd = r.command(v, is("cmd")) },
		"user":          func(_, v *node) { p.User = r.user(v, is("user")) },
		"workdir":       func(_, v *node) { p.Workdir = r.workdir(v, is("workdir")) },
		"working_dir":   func(_, v *node) { workingDir = r.workdir(v, is("working_dir")) },
		"num_instances": func(_, v *node) { r.instances(v, is("num_instances"), p) },
		"cpu":           func(_, v *node) { p.CPULevel = r.cpu(v, is("cpu")) },
		"memory":        func(_, v *node) { p.MemoryBytes, p.memory = r.size(v, is("memory")), strings.TrimSpace(v.text) },
		"port":          func(_, v *node) { p.Exposed = r.ports(v, is("port")) },
		"setup_time":    func(_, v *node) { p.SetupTime = r.grace(v, is("setup_time"), 0, maxSetup) },
		"kill_timeout":  func(_, v *node) { p.KillTimeout = r.grace(v, is("kill_timeout"), minKill, maxKill) },
		"env":           func(_, v *node) { p.Env = r.env(v, is("env")) },
		"healthcheck":   r.only(p, func(_, v *node) { p.HealthPath = r.healthPath(v, is("healthcheck")) }, lain.Web),
		"https_only":    r.only(p, func(_, v *node) { p.HTTPSOnly = r.flag(v, is("https_only")) }, lain.Web),
		"mountpoint":    r.only(p, func(_, v *node) { r.mountpoint(v, label, p) }, lain.Web),
		"health":        func(k, v *node) {}, // reads what others have read: after them

		"secret_files":          func(_, v *node) { p.SecretFiles = r.secretFiles(v, is("secret_files")) },
		"secret_files_bypass":   func(_, v *node) { p.SecretFilesBypass = r.truthy(v, is("secret_files_bypass")) },
		"container_healthcheck": func(k, v *node) { p.ContainerHealth = r.containerHealth(k, v, is("container_healthcheck")) },

		"ports":           func(_, v *node) { p.StreamPorts = r.streamPorts(v) },
		"labels":          func(_, v *node) { p.Labels = r.labels(v) },
		"filters":         func(k, v *node) {}, // its absence says something: see below
		"stateful":        func(_, v *node) { p.Stateful = r.truthy(v, is("stateful")) },
		"dns_search":      func(_, v *node) { p.DNSSearch = r.domains(v) },
		"volumes":         func(_, v *node) { p.Volumes = r.volumes(v, is("volumes")) },
		"persistent_dirs": func(_, v *node) { dirs = r.volumes(v, is("persistent_dirs")) },
		"cloud_volumes":   func(k, v *node) { p.CloudVolumes = r.cloudVolumes(k, v) },
		"shared_volumes":  func(_, v *node) { p.SharedVolumes = r.sharedVolumes(v) },
		"logs":            func(_, v *node) { p.Logs = r.logs(v) },
		"service_name":    r.only(p, func(_, v *node) { p.ServiceName, _ = r.text(v, is("service_name")) }, portal),
		"allow_clients":   r.only(p, func(_, v *node) { p.AllowClients = r.clients(v) }, portal),
		"schedule":        r.only(p, func(_, v *node) { p.Schedule = r.schedule(v, is("schedule")) }, cron),
		"portal":          func(k, _ *node) { r.strayPortal(key, k) },
	})
	p.Filters = r.filters(v)
	p.Workdir = cmp.Or(p.Workdir, workingDir)
	p.Volumes = r.persistent(v, p.Volumes, dirs)
	r.health(v.get("health"), label, p)
	r.complete(key, v, p, label)
}

// persistent chooses between the two names of volumes: persistent_dirs wins unless it is empty.
func (r *procReader) persistent(section *node, volumes, dirs []Volume) []Volume {
	v := section.get("persistent_dirs")
	if v == nil || v.empty() {
		return volumes
	}
	if len(volumes) > 0 {
		r.warn(v, "persistent_dirs is another name of volumes: volumes is ignored")
	}
	return dirs
}

// complete fills in what depends on the type, and asks for what a type must have.
func (r *procReader) complete(key, v *node, p *Proc, label string) {
	if r.template {
		p.Templates = templates(v)
	}
	if p.Type == lain.Web && len(p.Exposed) == 0 {
		p.Exposed = []Exposed{{webPort, "tcp"}}
	}
	if len(p.Exposed) > 0 && p.Exposed[0].Protocol == "tcp" {
		p.Port = p.Exposed[0].Number
	}
	switch p.Type {
	case lain.Web:
		if len(p.Mountpoint) == 0 && p.Name != "web" && p.Name != "" {
			r.fail(key, "Only the proc named web gets one by itself. Try: mountpoint: [/"+string(p.Name)+"]", "%s has no mountpoint", label)
		}
	case portal:
		if len(p.AllowClients) == 0 {
			p.AllowClients = []string{everyClient}
		}
		if s := v.get("service_name"); (s == nil || s.kind == null) && p.ServiceName == "" {
			r.fail(key, "Try: service_name: "+strings.TrimPrefix(string(p.Name), "portal-"), "%s has no service_name", label)
		}
	case cron:
		if p.Schedule == "" && v.get("schedule") == nil {
			r.fail(key, "Try: schedule: \"30 0 * * *\"", "%s has no schedule", label)
		}
	}
}

// everyClient is what allow_clients is where it is not written.
const everyClient = "**"

// clients reads the name of an application, or a list of them.
func (r *reader) clients(v *node) []string {
	var clients []string
	for _, item := range r.words(v, "allow_clients") {
		clients = append(clients, item.text)
	}
	if len(clients) == 0 { // "all" is no reading of what was meant as a limit
		r.fail(v, "Try: allow_clients: \"**\", which is all", "allow_clients names no application")
	}
	return clients
}

// Template is a key of a proc whose value the client of a resource fills in.
type Template struct {
	Key, Text string
	Line      int
}

func templates(section *node) []Template {
	var found []Template
	for _, p := range section.pairs {
		if isTemplate(p.value) {
			found = append(found, Template{Key: p.key.text, Text: p.value.text, Line: p.key.line})
		}
	}
	return found
}

func isTemplate(v *node) bool { return v.scalar() && strings.Contains(v.text, "{{") }

// only wraps the taker of a key that says nothing for procs of other types.
func (r *procReader) only(p *Proc, take func(k, v *node), types ...lain.ProcType) func(k, v *node) {
	return func(k, v *node) {
		if slices.Contains(types, p.Type) {
			take(k, v)
			return
		}
		if !r.quiet {
			r.warn(k, "%s has no effect on a proc of type %s", show(k.text), p.Type)
		}
	}
}

// strayPortal warns of a portal anywhere but in a service.
func (r *procReader) strayPortal(section, key *node) {
	if stem, _, _ := strings.Cut(section.text, "."); stem != string(service) {
		r.warn(key, "portal has no effect here: it belongs into a section service.NAME")
	}
}

func (r *reader) domains(v *node) []string {
	var domains []string
	for _, item := range r.texts(v, "dns_search") {
		if bad := checkHost(strings.ToLower(item.text)); bad != "" {
			r.fail(item, "Try: - example.com", "dns_search: %s", bad)
			continue
		}
		domains = append(domains, item.text)
	}
	return domains
}

func (r *reader) schedule(v *node, what string) string {
	s, ok := r.text(v, what)
	if bad := badSchedule(s); ok && bad != "" {
		r.fail(v, "Try: schedule: \"30 0 * * *\"", "%s: %s", what, bad)
	}
	return s
}

// strayType warns of a type where the section's name has said it already.
func (r *procReader) strayType(section, key *node) {
	stem, _, _ := strings.Cut(section.text, ".")
	if stem != "proc" && stem != string(service) {
		r.warn(key, "type is ignored here: the name of the section says it is %s", stem)
	}
}

// command reads cmd or entrypoint: text is split at white space, a list is taken as it is. Anything else is
// dropped, as LAIN did, but not in silence.
func (r *reader) command(v *node, what string) []string {
	switch v.kind {
	case text:
		words := strings.Fields(v.text)
		if strings.ContainsAny(v.text, `"'`) {
			r.warn(v, "%s is split at spaces and quotes are not understood: write it as a list", what)
		}
		return r.arguments(v, words, what)
	case list:
		var words []string
		for _, item := range v.items {
			if item.kind != text {
				r.warn(item, "%s holds %s, so all of it is ignored and the image's own is used: quote it", what, item.kind)
				return nil
			}
			words = append(words, item.text)
		}
		return r.arguments(v, words, what)
	}
	r.warn(v, "%s is %s, so it is ignored and the image's own is used: quote it", what, v.kind)
	return nil
}

func (r *reader) arguments(v *node, words []string, what string) []string {
	for _, w := range words {
		if !r.clean(v, what, w) {
			return nil
		}
	}
	if len(words) == 0 {
		return nil
	}
	return words
}

var userPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?$`)

func (r *reader) user(v *node, what string) string {
	s, ok := r.text(v, what)
	if ok && s != "" && !userPattern.MatchString(s) {
		r.fail(v, "Try: user: app, or user: 1000:1000", "%s must be a user or user:group, and this is %s", what, show(s))
		return ""
	}
	return s
}

func (r *reader) workdir(v *node, what string) string {
	if v.empty() {
		return ""
	}
	s, ok := r.text(v, what)
	if ok && !path.IsAbs(s) {
		r.fail(v, "Try: workdir: "+path.Join("/lain/app", s), "%s must be an absolute path, and this is %s", what, show(s))
		return ""
	}
	return s
}

func (r *reader) instances(v *node, what string, p *Proc) {
	if n, ok := r.between(v, what, 0, maxInstances); ok {
		p.Instances = n
	}
}

func (r *reader) cpu(v *node, what string) int {
	n, ok := r.whole(v, what)
	if !ok {
		return 0
	}
	return int(r.clamped(v, what, n, 0, maxCPULevel))
}

func (r *reader) grace(v *node, what string, low, high int64) time.Duration {
	n, ok := r.seconds(v, what)
	if !ok {
		return time.Duration(low) * time.Second
	}
	return time.Duration(r.clamped(v, what, n, low, high)) * time.Second
}

// env reads K=V. LAIN passed on what has no "=", where it meant nothing.
func (r *reader) env(v *node, what string) []string {
	var env []string
	for _, item := range r.texts(v, what) {
		if name, _, ok := strings.Cut(item.text, "="); !ok || strings.TrimSpace(name) != name || name == "" {
			r.warn(item, "%s takes NAME=VALUE, so %s is ignored", what, show(item.text))
			continue
		}
		env = append(env, item.text)
	}
	return env
}
