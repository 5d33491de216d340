package manifest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lain.internal/lain/lain"
)

// Show is a manifest as JSON with the names, the defaults and the meaning that LAIN's parser gave it, so that a file
// can be compared with what LAIN made of it. The order of keys is stable. Domains are those of a cluster; LAIN's own
// host <appname>.lain is always there.
//
// Where LAIN wrote down what only a cluster knows, or shell of its own, this says it plainly: the image is null for
// the released one, scripts are as written (LAIN put each into parentheses, and a line that cleans up after prepare),
// and times are in seconds. What LAIN did not have stands beside its keys.
func Show(m *Manifest, domains ...string) []byte {
	procs := map[string]shownProc{}
	for _, p := range slices.Concat(m.Procs, m.Others) {
		procs[string(p.Name)] = m.showProc(p, domains)
	}
	return pretty(shown{
		AppName: string(m.AppName), AppType: map[bool]string{false: "app", true: "resource"}[m.Template],
		GitURL: orNull(m.GitURL), Build: showBuild(m.Build), Release: showRelease(m.Release), Test: showTest(m.Test),
		Procs: procs, Notify: showSettings(m.Notify), UseServices: showServices(m.UseServices), UseResources: showResources(m.UseResources),
	})
}

type shown struct {
	AppName      string                   `json:"appname"`
	AppType      string                   `json:"apptype"`
	GitURL       *string                  `json:"giturl"`
	Build        shownBuild               `json:"build"`
	Release      shownRelease             `json:"release"`
	Test         shownTest                `json:"test"`
	Procs        map[string]shownProc     `json:"procs"`
	Notify       map[string]any           `json:"notify"`
	UseServices  map[string][]string      `json:"use_services"`
	UseResources map[string]shownResource `json:"use_resources"`
}

type shownBuild struct {
	Base       string        `json:"base"`
	Prepare    *shownPrepare `json:"prepare"`
	Script     []string      `json:"script"`
	Args       []string      `json:"build_arg"`
	Volumes    []string      `json:"volumes"` // null: none
	Secrets    []shownSecret `json:"secrets,omitempty"`
	Dockerfile string        `json:"dockerfile,omitempty"`
	Target     string        `json:"target,omitempty"`
}

type shownPrepare struct {
	Version *string  `json:"version"`
	Script  []string `json:"script"`
	Keep    []string `json:"keep"`
	Args    []string `json:"build_arg"`
	Inputs  []string `json:"inputs,omitempty"`
}

type shownSecret struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}

type shownRelease struct {
	DestBase string      `json:"dest_base"`
	Script   []string    `json:"script"`
	Copy     []shownCopy `json:"copy"`
}

type shownCopy struct {
	Src  string `json:"src"`
	Dest string `json:"dest"`
}

type shownTest struct {
	Script []string `json:"script"`
}

type shownResource struct {
	Services []string       `json:"services"`
	Context  map[string]any `json:"context"`
}

// shownProc has what is a number or a template, and what is null in LAIN, as any.
type shownProc struct {
	Type         string              `json:"type"`
	Image        *string             `json:"image"`
	Entrypoint   any                 `json:"entrypoint"`
	Cmd          any                 `json:"cmd"`
	User         any                 `json:"user"`
	Workdir      any                 `json:"workdir"`
	DNSSearch    []string            `json:"dns_search"`
	Instances    any                 `json:"num_instances"`
	CPU          any                 `json:"cpu"`
	Memory       any                 `json:"memory"`
	Ports        any                 `json:"ports"`
	StreamPorts  []shownStream       `json:"stream_ports"`
	Labels       map[string]string   `json:"labels"`
	Filters      []string            `json:"filters"`
	Stateful     bool                `json:"stateful"`
	SetupTime    any                 `json:"setup_time"`
	KillTimeout  any                 `json:"kill_timeout"`
	HealthCheck  any                 `json:"healthcheck"`
	Container    *shownCheck         `json:"container_healthcheck"`
	Env          []string            `json:"env"`
	Volumes      []string            `json:"volumes"`
	Backup       []shownBackup       `json:"backup"`
	CloudVolumes map[string][]string `json:"cloud_volumes"`
	Logs         []string            `json:"logs"`
	SecretFiles  []string            `json:"secret_files"`
	Bypass       bool                `json:"secret_files_bypass"`
	Mountpoint   []string            `json:"mountpoint"`
	HTTPSOnly    any                 `json:"https_only"`
	ServiceName  string              `json:"service_name"`
	AllowClients any                 `json:"allow_clients"`
	Schedule     string              `json:"schedule,omitempty"`
	Shared       map[string][]string `json:"shared_volumes,omitempty"`
	Deadline     int64               `json:"deadline,omitempty"` // seconds
}

type shownStream struct {
	Src      int    `json:"srcport"`
	Dst      int    `json:"dstport"`
	Protocol string `json:"proto"`
}

type shownCheck struct {
	Cmd     string `json:"cmd"`
	Options struct {
		Interval int64 `json:"interval"` // seconds
		Timeout  int64 `json:"timeout"`
		Retries  int   `json:"retries"`
	} `json:"options"`
}

type shownBackup struct {
	Proc     string `json:"procname"`
	Volume   string `json:"volume"`
	Schedule string `json:"schedule"`
	Expire   string `json:"expire"`
	Mode     string `json:"mode"`
	PreRun   string `json:"preRun"`
	PostRun  string `json:"postRun"`
}

// logVolume is what LAIN gave every proc.
const logVolume = "/lain/logs"

// lainMemory is LAIN's limit where none is written.
const lainMemory = "32m"

// showProc is one proc. It is one list of fields, hence its length.
func (m *Manifest) showProc(p Proc, domains []string) shownProc {
	s := shownProc{
		Type: string(p.Type), Image: orNull(p.Image), Entrypoint: p.Entrypoint, Cmd: p.Cmd, User: p.User, Workdir: p.Workdir,
		DNSSearch: m.search(p), Instances: p.Instances, CPU: p.CPULevel, Memory: lainMemory, Ports: showPorts(p.Exposed),
		Labels: map[string]string{}, Filters: orEmpty(p.Filters), Stateful: p.Stateful,
		SetupTime: seconds(p.SetupTime), KillTimeout: seconds(p.KillTimeout), HealthCheck: p.HealthPath,
		Container: showCheck(p.ContainerHealth), Env: orEmpty(p.Env), Backup: []shownBackup{}, CloudVolumes: map[string][]string{},
		Logs: orEmpty(p.Logs), SecretFiles: []string{}, Bypass: p.SecretFilesBypass, Mountpoint: []string{},
		ServiceName: p.ServiceName, AllowClients: showClients(p.AllowClients), Schedule: p.Schedule, Deadline: seconds(p.Deadline),
	}
	if p.memory != "" {
		s.Memory = p.memory
	}
	for _, port := range p.StreamPorts {
		s.StreamPorts = append(s.StreamPorts, shownStream{port.Src, port.Dst, port.Protocol})
	}
	for _, l := range p.Labels {
		s.Labels[l.Key] = l.Value
	}
	for _, f := range p.SecretFiles {
		s.SecretFiles = append(s.SecretFiles, string(f.Path))
	}
	if p.Type == lain.Web {
		s.Mountpoint, s.HTTPSOnly = m.lainMounts(p, domains), p.HTTPSOnly
	}
	m.showVolumes(p, &s)
	s.fill(p.Templates)
	return s
}

// search is where names are looked up: the application's own domain is always there.
func (m *Manifest) search(p Proc) []string {
	own := string(m.AppName) + ".lain"
	if slices.Contains(p.DNSSearch, own) {
		return p.DNSSearch
	}
	return append(slices.Clone(p.DNSSearch), own)
}

func (m *Manifest) showVolumes(p Proc, s *shownProc) {
	for _, v := range p.Volumes {
		s.Volumes = append(s.Volumes, v.Path)
		for _, b := range v.Backups {
			s.Backup = append(s.Backup, shownBackup{Proc: fmt.Sprintf("%s.%s.%s", m.AppName, p.Type, p.Name), Volume: v.Written,
				Schedule: b.Schedule, Expire: b.Expire, Mode: b.Mode, PreRun: b.PreRun, PostRun: b.PostRun})
		}
	}
	s.Volumes = append(s.Volumes, logVolume)
	if c := p.CloudVolumes; c != nil {
		s.CloudVolumes[c.Type] = orEmpty(c.Dirs)
	}
	for _, v := range p.SharedVolumes {
		if s.Shared == nil {
			s.Shared = map[string][]string{}
		}
		s.Shared[v.Storage] = append(s.Shared[v.Storage], v.Source+":"+v.Target)
	}
}

// lainMounts are the hosts and paths of a web proc as LAIN expanded them (1.6.1): what is a path goes behind each own
// host, at the end; the proc named web has the own hosts as well.
func (m *Manifest) lainMounts(p Proc, domains []string) []string {
	var own []string
	for _, d := range append(slices.Clone(domains), "lain") {
		own = append(own, string(m.AppName)+"."+d)
	}
	entries := slices.Clone(p.Mountpoint)
	if p.Name == "web" {
		for _, host := range own {
			if !slices.Contains(entries, host) {
				entries = append(entries, host)
			}
		}
	}
	mounts, paths := []string{}, []string{}
	for _, entry := range entries {
		switch {
		case !strings.HasPrefix(entry, "/"):
			mounts = append(mounts, entry)
		case entry != "/":
			for _, host := range own {
				paths = append(paths, host+entry)
			}
		}
	}
	return append(mounts, paths...)
}

// fill puts the templates where their values would be.
func (s *shownProc) fill(templates []Template) {
	fields := map[string]*any{"user": &s.User, "workdir": &s.Workdir, "num_instances": &s.Instances, "cpu": &s.CPU, "memory": &s.Memory,
		"port": &s.Ports, "setup_time": &s.SetupTime, "kill_timeout": &s.KillTimeout, "healthcheck": &s.HealthCheck, "https_only": &s.HTTPSOnly}
	for _, t := range templates {
		if field := fields[t.Key]; field != nil {
			*field = t.Text
		}
		switch t.Key {
		case "cmd":
			s.Cmd = strings.Fields(t.Text)
		case "entrypoint":
			s.Entrypoint = strings.Fields(t.Text)
		case "image":
			s.Image = orNull(t.Text)
		}
	}
}

// showClients is text where there is one, as LAIN's files have it.
func showClients(clients []string) any {
	if len(clients) > 1 {
		return clients
	}
	return strings.Join(clients, "")
}

func showPorts(ports []Exposed) []string {
	words := []string{}
	for _, p := range ports {
		words = append(words, fmt.Sprintf("%d/%s", p.Number, p.Protocol))
	}
	return words
}

func showCheck(h *ContainerHealth) *shownCheck {
	if h == nil {
		return nil
	}
	s := &shownCheck{Cmd: h.Cmd}
	if h.Off {
		s.Cmd = "none"
	}
	s.Options.Interval, s.Options.Timeout, s.Options.Retries = seconds(h.Interval), seconds(h.Timeout), h.Retries
	return s
}

func showBuild(b Build) shownBuild {
	s := shownBuild{Base: b.Base, Script: orEmpty(b.Script), Args: orEmpty(b.Args), Volumes: b.Volumes, Dockerfile: b.Dockerfile, Target: b.Target}
	for _, secret := range b.Secrets {
		s.Secrets = append(s.Secrets, shownSecret{secret.Name, secret.Target})
	}
	if p := b.Prepare; p != nil {
		s.Prepare = &shownPrepare{Version: orNull(p.Version), Script: orEmpty(p.Script), Keep: orEmpty(p.Keep), Args: orEmpty(p.Args), Inputs: p.Inputs}
	}
	return s
}

func showRelease(r *Release) shownRelease {
	s := shownRelease{Script: []string{}, Copy: []shownCopy{}}
	if r == nil {
		return s
	}
	s.DestBase, s.Script = r.DestBase, orEmpty(r.Script)
	for _, c := range r.Copy {
		s.Copy = append(s.Copy, shownCopy(c))
	}
	return s
}

func showTest(t *Test) shownTest {
	if t == nil {
		return shownTest{Script: []string{}}
	}
	return shownTest{Script: orEmpty(t.Script)}
}

func showSettings(settings []Setting) map[string]any {
	m := map[string]any{}
	for _, s := range settings {
		m[s.Name] = s.Value
	}
	return m
}

func showServices(uses []UseService) map[string][]string {
	m := map[string][]string{}
	for _, u := range uses {
		m[u.App] = orEmpty(u.Services)
	}
	return m
}

func showResources(uses []UseResource) map[string]shownResource {
	m := map[string]shownResource{}
	for _, u := range uses {
		m[u.App] = shownResource{Services: orEmpty(u.Services), Context: showSettings(u.Context)}
	}
	return m
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// orEmpty makes of nothing a list without items, which JSON tells from null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
