package manifest

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Volume is a path that outlives the containers of an instance.
type Volume struct {
	Path    string // absolute and clean
	Written string // as in the file; backups are filed under it
	Backups []Backup
	Line    int
}

// Backup is when copies of a volume are made, and how long they are kept.
type Backup struct {
	Mode     string // full or increment
	Schedule string // five fields as in crontab, or a word like @daily
	Expire   string // a number and m, h or d, as written; "" when there is none
	PreRun   string // a command in the container before; "": none. Relative: below /lain/app
	PostRun  string // after
	Line     int
}

// Keep is how long a copy is kept; 0: for ever.
func (b Backup) Keep() time.Duration {
	m := agePattern.FindStringSubmatch(b.Expire)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return time.Duration(n) * map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]
}

var agePattern = regexp.MustCompile(`^([0-9]{1,5})([mhd])$`)

// maxPaths bounds the volumes, and the logs, of one proc.
const maxPaths = 100

// volumes reads paths, and maps of a path to its backups.
func (r *reader) volumes(v *node, what string) []Volume {
	var volumes []Volume
	add := func(at, backups *node) {
		if vol, ok := r.volume(at, backups); ok {
			volumes = r.addVolume(volumes, vol, at, what)
		}
	}
	for _, item := range r.list(v, what) {
		switch item.kind {
		case null:
		case dict:
			for _, p := range item.pairs {
				add(p.key, p.value)
			}
		case text:
			add(item, nil)
		default:
			r.warn(item, "an item of %s is %s, so it is ignored: quote it", what, item.kind)
		}
	}
	return volumes
}

func (r *reader) addVolume(volumes []Volume, v Volume, at *node, what string) []Volume {
	switch {
	case slices.ContainsFunc(volumes, func(o Volume) bool { return o.Path == v.Path }):
		r.warn(at, "%s names %s twice: the first counts", what, show(v.Path))
		return volumes
	case len(volumes) == maxPaths:
		r.fail(at, "", "%s has more than %d entries", what, maxPaths)
		return volumes
	}
	return append(volumes, v)
}

// volume reads one path; backups is what stands behind its colon, or nil.
func (r *reader) volume(at, backups *node) (Volume, bool) {
	p, ok := r.volumePath(at)
	v := Volume{Path: p, Written: at.text, Line: at.line}
	if backups != nil && ok {
		take := func(mode string) func(k, v *node) {
			return func(key, policy *node) {
				if b, ok := r.backup(mode, key, policy); ok {
					v.Backups = append(v.Backups, b)
				}
			}
		}
		r.section(volume, "the volume "+show(at.text), backups, takers{"backup_full": take("full"), "backup_increment": take("increment")})
	}
	return v, ok
}

func (r *reader) volumePath(v *node) (string, bool) {
	s, ok := r.text(v, "a volume")
	if !ok {
		return "", false
	}
	full := below(appRoot, s)
	if full == "/" || full == "/lain" || full == appRoot {
		r.fail(v, "Name a directory below it.", "%s cannot be a volume", full)
		return "", false
	}
	return full, true
}

// below is an absolute path as it is, and any other below dir; clean in both cases.
func below(dir, s string) string {
	if path.IsAbs(s) {
		return path.Clean(s)
	}
	return path.Join(dir, s)
}

// backup reads a policy. Without a schedule it is none, as in LAIN.
func (r *reader) backup(mode string, key, v *node) (Backup, bool) {
	b := Backup{Mode: mode, Line: key.line}
	title := key.text
	r.section(backup, title, v, takers{
		"schedule": func(_, v *node) {
			b.Schedule, _ = r.text(v, title+".schedule")
			if bad := badSchedule(b.Schedule); bad != "" && b.Schedule != "" {
				r.warn(v, "%s.schedule will never come: %s", title, bad)
			}
		},
		"expire":   func(_, v *node) { b.Expire = r.age(v, title+".expire") },
		"pre_run":  func(_, v *node) { b.PreRun = r.shellLine(v, title+".pre_run") },
		"post_run": func(_, v *node) { b.PostRun = r.shellLine(v, title+".post_run") },
	})
	if b.Schedule == "" {
		r.warn(key, "%s has no schedule, so no copy is ever made", title)
		return b, false
	}
	if b.Expire == "" {
		r.warn(key, "%s has no expire, so its copies are kept for ever", title)
	}
	return b, true
}

func (r *reader) age(v *node, what string) string {
	s, _ := r.text(v, what)
	if s = strings.TrimSpace(s); !agePattern.MatchString(s) {
		r.warn(v, "%s must be a number and m, h or d, and this is %s: it is ignored", what, show(s))
		return ""
	}
	return s
}

// CloudVolumes are directories on storage that all nodes share.
type CloudVolumes struct {
	Type string   // multi: one for each instance; single: one for all
	Dirs []string // absolute and clean
	Line int
}

func (r *reader) cloudVolumes(key, v *node) *CloudVolumes {
	if v.empty() {
		return nil
	}
	c := &CloudVolumes{Type: "multi", Line: key.line}
	r.section(cloud, "cloud_volumes", v, takers{
		"type": func(_, v *node) {
			if v.text != "multi" && v.text != "single" {
				r.fail(v, "", "the type of cloud_volumes must be multi or single, and this is %s", show(v.text))
			}
			c.Type = v.text
		},
		"dirs": func(_, v *node) {
			for _, item := range r.texts(v, "cloud_volumes.dirs") {
				if p, ok := r.volumePath(item); ok {
					c.Dirs = append(c.Dirs, p)
				}
			}
		},
	})
	return c
}

// SharedVolume is a directory of a storage that applications share (ein-plus).
type SharedVolume struct {
	Storage        string
	Source, Target string // Target is absolute and clean
}

// sharedVolumes reads {global: ["src:dst"]}.
func (r *reader) sharedVolumes(v *node) []SharedVolume {
	var shared []SharedVolume
	if v.kind != dict {
		r.fail(v, "Try: shared_volumes: {global: [\"data:/data\"]}", "shared_volumes must be a map, and this is %s", v.kind)
	}
	for _, p := range v.pairs {
		for _, item := range r.texts(p.value, "shared_volumes") {
			source, target, ok := strings.Cut(item.text, ":")
			if !ok || source == "" || !path.IsAbs(target) {
				r.fail(item, "Try: - data:/data", "shared_volumes takes SOURCE:/TARGET, and this is %s", show(item.text))
				continue
			}
			shared = append(shared, SharedVolume{Storage: p.key.text, Source: source, Target: path.Clean(target)})
		}
	}
	return shared
}

// logs reads names below /lain/logs, each once.
func (r *reader) logs(v *node) []string {
	var logs []string
	for _, item := range r.texts(v, "logs") {
		name := path.Clean(item.text)
		switch {
		case path.IsAbs(item.text):
			r.fail(item, "Try: - "+path.Base(item.text), "logs takes names below /lain/logs, and this is %s", show(item.text))
		case name == "." || name == ".." || strings.HasPrefix(name, "../"):
			r.fail(item, "Try: - access.log", "logs takes names of files below /lain/logs, and this is %s", show(item.text))
		case len(logs) == maxPaths:
			r.fail(item, "", "logs has more than %d entries", maxPaths)
			return logs
		case !slices.Contains(logs, item.text):
			logs = append(logs, item.text)
		}
	}
	return logs
}
