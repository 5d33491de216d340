package router

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/router/certs"
	"lain.internal/lain/router/conf"
	"lain.internal/lain/router/nginx"
)

const (
	certsEvery = time.Second      // how often the folder of certificates is looked at
	sweepEvery = time.Minute      // how often copies that nobody uses are looked for
	askCerts   = 20 * time.Second // how long Certified waits for a look of its own
	handshake  = 5 * time.Second  // for each of two tries
)

// secure tells whether TLS is ended here.
func (r *Router) secure() bool { return r.options.HTTPSAddr != "" }

// httpsPort is the port of https as people reach it; 0: there is no https.
func (r *Router) httpsPort() int {
	switch {
	case !r.secure():
		return 0
	case r.options.HTTPSPort != 0:
		return r.options.HTTPSPort
	}
	a, _ := netip.ParseAddrPort(r.listenTLS[0])
	return int(a.Port())
}

// Fits tells whether a certificate of now fits the host, as far as the last look knows.
func (r *Router) Fits(host string) bool {
	_, ok := r.Certificate(host)
	return ok
}

// Certificate tells until when the certificate of now for the host is valid; false where none fits, or https is off.
func (r *Router) Certificate(host string) (until time.Time, ok bool) {
	best, ok := r.certs.Best(host, time.Now())
	return best.NotAfter, r.secure() && ok
}

// Certified returns nil when https can be served for the host, or says in one sentence why not and what to put
// where. It has the folder read anew before it says no, for which Run has to be under way.
func (r *Router) Certified(ctx context.Context, host string) error {
	if !r.secure() {
		return fault.New(fault.Invalid, "https is switched off on this server, so nothing can be https_only on %s", host).
			WithHint("Remove https_only, or have the server started with --router-https-addr and a certificate for %s in its --cert-dir.", host)
	}
	if r.Fits(host) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askCerts, errors.New("the router is busy"))
	defer cancel()
	if err := r.lookNow(ctx); err != nil {
		return fault.Hide(fault.Unavailable, err, "it is not known whether there is a certificate for %s: try again", host)
	}
	if r.Fits(host) {
		return nil
	}
	return fault.New(fault.Invalid, "no certificate fits %s: put one as NAME.crt with its key as NAME.key into %s on the server", host, r.options.CertDir).
		WithHint("A wildcard fits one label. What is wrong with those that are there, laind doctor tells. Or remove https_only.")
}

// CheckCertificates looks at a folder of certificates without a router: how many can be used, and what is to be
// done about the others, by the name of their files.
func CheckCertificates(dir string, now time.Time) (good int, lines map[string]string) {
	report := certs.Check(dir, now)
	return report.Good, report.Lines
}

// lookNow has the loop read the folder, and waits for that.
func (r *Router) lookNow(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case r.ask <- done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepareTLS checks the address, the program and our folder of copies.
func (r *Router) prepareTLS() (err error) {
	if !r.secure() {
		return nil
	}
	if r.listenTLS, err = listenAddresses(r.options.HTTPSAddr); err != nil {
		return err
	}
	if err := r.edge.AtLeast(1, 19, 4); err != nil { // ssl_reject_handshake
		return err
	}
	r.certs.Store.Group = r.edge.Group
	return r.certs.Store.Prepare()
}

func (r *Router) newKeeper() *certs.Keeper {
	return &certs.Keeper{Dir: r.options.CertDir, Store: &certs.Store{Dir: filepath.Join(r.options.Dir, "certs"), Group: -1},
		Judge: r.judge, Refusal: refusal}
}

// judge asks nginx about pairs whose copies are at files.
func (r *Router) judge(ctx context.Context, files []string) error {
	text, err := conf.RenderTrial(paths(r.edge), r.edge.Files.Trial, files)
	if err != nil {
		return err
	}
	return r.edge.Test(ctx, text)
}

func refusal(err error) (string, bool) {
	if refused, ok := errors.AsType[*nginx.RefusedError](err); ok {
		return refused.Message, true
	}
	return "", false
}

// lookAtCertificates reads the folder when it has changed, and reports whether there is something to do.
func (r *Router) lookAtCertificates(ctx context.Context, force bool) (changed bool, err error) {
	now := time.Now()
	changed, err = r.certs.Look(ctx, now, force)
	if err == nil && now.Sub(r.swept) > sweepEvery {
		r.swept = now
		err = r.certs.Sweep(now)
	}
	report := r.certs.Report(now)
	measure(report)
	if !maps.Equal(report.Lines, r.troubles) {
		r.tellTroubles(report.Lines)
	}
	if err != nil {
		return changed, fmt.Errorf("read the certificates: %w", err)
	}
	return changed || len(r.unseen) > 0, nil
}

// certificateClock says when to look; it stands still where there is no TLS.
func (r *Router) certificateClock() *time.Ticker {
	t := time.NewTicker(certsEvery)
	if !r.secure() {
		t.Stop()
	}
	return t
}

// watchCertificates is a look whose failure is only logged: the next one is near.
func (r *Router) watchCertificates(ctx context.Context) bool {
	changed, err := r.lookAtCertificates(ctx, false)
	if err != nil && ctx.Err() == nil {
		r.log.Error("the router is behind its certificates", "error", err)
	}
	return changed
}

// firstCertificates reads them before anything is served for the first time. Trouble with them stops nobody who
// needs none.
func (r *Router) firstCertificates(ctx context.Context) {
	if r.secure() && !r.read {
		r.watchCertificates(ctx)
		r.read = true
	}
}

// fits tells for which hosts there is a certificate, as of now.
func (r *Router) fits() func(host string) bool {
	now := time.Now()
	pairs := r.certs.Pairs(now)
	return func(host string) bool {
		_, ok := certs.Best(pairs, host, now)
		return r.secure() && ok
	}
}

// tellTroubles logs what has come up, or is over.
func (r *Router) tellTroubles(lines map[string]string) {
	for _, name := range sorted(lines) {
		if lines[name] != r.troubles[name] {
			r.log.Warn("a certificate wants attention", "certificate", name, "reason", lines[name])
		}
	}
	for _, name := range sorted(r.troubles) {
		if lines[name] == "" {
			r.log.Info("a certificate is well again, or gone", "certificate", name)
		}
	}
	r.troubles = lines
}

// lain_certificates counts the pairs in the folder of certificates: good ones are used, soon ones are those of them
// that end within 14 days, broken ones cannot be used. lain_certificates_first_end_seconds is the unix time at
// which the first of the good ones ends; 0: there is none.
func measure(report certs.Report) {
	for state, n := range map[string]int{"good": report.Good, "broken": report.Broken, "soon": report.Soon} {
		metrics.GetOrCreateGauge(fmt.Sprintf("lain_certificates{state=%q}", state), nil).Set(float64(n))
	}
	first := 0.0
	if !report.First.IsZero() {
		first = float64(report.First.Unix())
	}
	metrics.GetOrCreateGauge("lain_certificates_first_end_seconds", nil).Set(first)
}

// publish makes the best certificate of each host known to the edge, which finds it at the next handshake.
func (r *Router) publish(apps []conf.App) error {
	if !r.secure() {
		return nil
	}
	now := time.Now()
	pairs := r.certs.Pairs(now)
	want, leaves := map[string]string{}, map[string][32]byte{}
	for _, app := range apps {
		for _, route := range app.Routes {
			if best, ok := certs.Best(pairs, route.Host, now); ok {
				want[route.Host], leaves[route.Host] = best.Hash, best.Leaf
			}
		}
	}
	changed, err := r.certs.Store.Publish(want)
	for _, host := range changed {
		r.unseen[want[host]] = sample{host: host, leaf: leaves[host]}
	}
	r.links = want
	maps.DeleteFunc(r.unseen, func(hash string, s sample) bool { return want[s.host] != hash })
	return err
}

// sample is one host of a certificate, and what a handshake for it has to show.
type sample struct {
	host   string
	leaf   [32]byte
	reason string // why it was not shown; "": not asked yet
}

// verify sees with its own eyes that the edge shows the certificates that were published: nobody would notice
// otherwise until a person does, since handshakes that fail are not logged. What is not shown is tried again.
func (r *Router) verify(ctx context.Context) {
	for _, hash := range sorted(r.unseen) {
		s := r.unseen[hash]
		leaf, err := showing(ctx, r.listenTLS[0], s.host)
		if err != nil {
			leaf, err = showing(ctx, r.listenTLS[0], s.host)
		}
		if err == nil && leaf == s.leaf {
			delete(r.unseen, hash)
			continue
		}
		if s.reason == "" {
			r.log.Error("the edge does not show a certificate that it should", "host", s.host, "error", err)
		}
		s.reason = fmt.Sprintf("the router does not show the certificate of %s yet", s.host)
		r.unseen[hash] = s
	}
}

// dark adds the applications that are for https alone on a host whose certificate is not shown.
func (r *Router) dark(want sight, refused map[string]string) map[string]string {
	for _, item := range want.routes {
		for _, route := range item.Value.Routes {
			if reason := r.unseen[r.links[route.Host]].reason; route.HTTPSOnly && reason != "" && refused[item.Key] == "" {
				refused[item.Key] = reason
			}
		}
	}
	return refused
}

// showing makes a handshake and returns the hash of the certificate. Whether anybody trusts it is not the point.
func showing(ctx context.Context, address, host string) (leaf [32]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	c, err := dialer.DialContext(ctx, "tcp", reachable(address))
	if err != nil {
		return leaf, err
	}
	defer c.Close()
	chain := c.(*tls.Conn).ConnectionState().PeerCertificates
	return sha256.Sum256(chain[0].Raw), nil
}

// reachable is an address at which a listener is met from this machine.
func reachable(listen string) string {
	a, err := netip.ParseAddrPort(listen)
	if err != nil || !a.Addr().IsUnspecified() {
		return listen
	}
	loopback := "127.0.0.1"
	if a.Addr().Is6() {
		loopback = "::1"
	}
	return net.JoinHostPort(loopback, fmt.Sprint(a.Port()))
}
