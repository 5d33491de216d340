package router

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	calls "lain.internal/lain/acceptance/load"
	"lain.internal/lain/lain"
)

// healthService is a service of gRPC's own: Check fails as the name of the service says, Watch answers until told to end.
type healthService struct {
	health.UnimplementedHealthServer
	seen chan metadata.MD // of the last calls
	tell chan health.HealthCheckResponse_ServingStatus
}

func (h *healthService) Check(ctx context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	h.seen <- md
	if r.Service != "" {
		return nil, status.Errorf(codes.NotFound, "no service %s", r.Service)
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

func (h *healthService) Watch(_ *health.HealthCheckRequest, s grpc.ServerStreamingServer[health.HealthCheckResponse]) error {
	for {
		select {
		case <-s.Context().Done():
			return s.Context().Err()
		case st, open := <-h.tell:
			if !open {
				return status.Error(codes.OutOfRange, "that was all")
			}
			if err := s.Send(&health.HealthCheckResponse{Status: st}); err != nil {
				return err
			}
		}
	}
}

// grpcBackend serves gRPC without TLS, as applications do.
func grpcBackend(t *testing.T) (address string, h *healthService) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h = &healthService{seen: make(chan metadata.MD, 16), tell: make(chan health.HealthCheckResponse_ServingStatus)}
	s := grpc.NewServer()
	health.RegisterHealthServer(s, h)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String(), h
}

// caller is a client that reaches the router at an address, whatever host it calls.
func caller(t *testing.T, host, address string, c credentials.TransportCredentials) health.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(c), grpc.WithAuthority(host),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return health.NewHealthClient(conn)
}

func check(c health.HealthClient, service string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-lain-user", "root", "x-forwarded-for", "6.6.6.6", "x-original-uri", "/6.6.6.6", "proxy", "6.6.6.6", "x-own", "kept")
	_, err := c.Check(ctx, &health.HealthCheckRequest{Service: service})
	return err
}

func TestRouterGRPC(t *testing.T) {
	g := newTLSRig(t)
	g.addr2 = freeAddr(t)
	g.ca.Put(g.certDir, "all", nextYear, "*.apps.test")
	g.start()
	address, service := grpcBackend(t)
	g.endpoints("calls", "web", address)
	g.endpoints("calls", "site", addressOf(backend(t, "site")))
	g.applied(g.routes("calls", web("calls.apps.test", "/", "web"), web("calls.apps.test", "/site/", "site"), web("half.apps.test", "/x/", "web"), web("gone.apps.test", "/", "gone")))
	over := map[string]func(host string) health.HealthClient{
		"TLS": func(host string) health.HealthClient {
			return caller(t, host, g.addrTLS, credentials.NewTLS(&tls.Config{RootCAs: g.ca.Pool()}))
		},
		"plain HTTP/2": func(host string) health.HealthClient { return caller(t, host, g.addr2, insecure.NewCredentials()) },
	}
	for how, dial := range over {
		c := dial("calls.apps.test")
		g.calls(how, c, service)
		g.watches(how, c, service)
		for _, host := range []string{"half.apps.test", "gone.apps.test", "nobody.apps.test"} {
			if err := check(dial(host), ""); err == nil {
				t.Errorf("%s: %s answers", how, host)
			}
		}
	}
	_, body, err := fetch(g.secureClient(false), "https://calls.apps.test/site/x")
	if err != nil || !strings.HasPrefix(body, "site GET /x ") {
		t.Errorf("what is no call of gRPC: %q, %v", body, err)
	}
}

// calls sees that a call arrives with our headers and its own, and that its status comes back.
func (g *tlsRig) calls(how string, c health.HealthClient, service *healthService) {
	g.t.Helper()
	if err := check(c, ""); err != nil {
		g.t.Fatalf("%s: %v", how, err)
	}
	md := fmt.Sprint(map[string][]string(<-service.seen)) // it redacts itself
	for _, want := range []string{"x-own:[kept]", "x-forwarded-for:[127.0.0.1]", "x-forwarded-host:[calls.apps.test]", ":authority:[calls.apps.test]"} {
		if !strings.Contains(md, want) {
			g.t.Errorf("%s: no %s in %s", how, want, md)
		}
	}
	if strings.Contains(md, "x-lain-user") || strings.Contains(md, "6.6.6.6") {
		g.t.Errorf("%s: forged headers arrive: %s", how, md)
	}
	if err := check(c, "other"); status.Code(err) != codes.NotFound || status.Convert(err).Message() != "no service other" {
		g.t.Errorf("%s: the status is %v", how, err)
	}
	<-service.seen
}

// watches sees that a stream lives on while the applications' nginx is reloaded.
func (g *tlsRig) watches(how string, c health.HealthClient, service *healthService) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	stream, err := c.Watch(ctx, &health.HealthCheckRequest{})
	if err != nil {
		g.t.Fatalf("%s: %v", how, err)
	}
	for i := range 3 {
		select {
		case service.tell <- health.HealthCheckResponse_ServingStatus(i % 3):
		case <-ctx.Done():
			g.t.Fatalf("%s: the stream is gone", how)
		}
		if m, err := stream.Recv(); err != nil || int(m.Status) != i%3 {
			g.t.Fatalf("%s: %v, %v", how, m, err)
		}
		g.applied(g.routes("other", web(fmt.Sprintf("o%d.apps.test", i), "/", "web")))
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		g.t.Errorf("%s: the end is %v", how, err)
	}
}

// echoing is a backend that answers each call with what it carries, which it says is ok, and closes with it.
func echoing(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		if _, err := io.Copy(w, r.Body); err == nil {
			w.Header().Set("Grpc-Status", "0")
		}
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return addressOf(s)
}

// Calls are answered all the time while the applications' nginx is replaced.
func TestRouterGRPC_NoCallIsLostWhenEndpointsChange(t *testing.T) {
	g := newTLSRig(t)
	g.addr2 = freeAddr(t)
	g.start()
	two := []string{echoing(t), echoing(t)}
	g.endpoints("calls", "web", two[0])
	g.applied(g.routes("calls", web("calls.test", "/", "web")))
	l, err := calls.Start(t.Context(), calls.Options{Addr: g.addr, Host: "calls.test", CallAddr: g.addr2, Callers: 6, CallEvery: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		g.applied(g.endpoints("calls", "web", two[1-i%2]))
	}
	if r := l.Stop(); r.Calls.Lost > 0 || r.Calls.OK < 1000 {
		t.Errorf("%s", r)
	}
}

// A host that is for https alone gets no calls without it, and one whose name is too long for a socket none at all.
func TestRouterGRPC_WhereNoCallsGo(t *testing.T) {
	g := newTLSRig(t)
	g.addr2 = freeAddr(t)
	g.ca.Put(g.certDir, "all", nextYear, "*.apps.test")
	g.start()
	address, service := grpcBackend(t)
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".test"
	g.endpoints("calls", "web", address)
	g.applied(g.routes("calls", lain.Route{Host: "only.apps.test", Path: "/", Proc: "web", HTTPSOnly: true}, web("both.apps.test", "/", "web"), web(long, "/", "web")))
	plain := func(host string) error { return check(caller(t, host, g.addr2, insecure.NewCredentials()), "") }
	secure := func(host string) error {
		return check(caller(t, host, g.addrTLS, credentials.NewTLS(&tls.Config{RootCAs: g.ca.Pool()})), "")
	}
	for host, err := range map[string]error{"both.apps.test": plain("both.apps.test"), "only.apps.test": secure("only.apps.test")} {
		if err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"only.apps.test", long, "..", "../both.apps.test", "both.apps.test/../both.apps.test", "none.test"} {
		if err := plain(host); err == nil {
			t.Errorf("%s answers", host)
		}
	}
	if len(service.seen) != 2 {
		t.Errorf("%d calls arrived, want 2", len(service.seen))
	}
	g.applied(g.routes("calls", web("both.apps.test", "/", "web")))
	if links, err := g.router.linksNow(); err != nil || len(links) != 2 {
		t.Errorf("links of hosts that are gone are left: %v %v", links, err)
	}
}

// Calls are taken again when the applications' nginx, whose sockets are left, was killed and is started anew.
func TestRouterGRPC_AfterAKill(t *testing.T) {
	g := newTLSRig(t)
	g.addr2 = freeAddr(t)
	g.start()
	address, _ := grpcBackend(t)
	g.endpoints("calls", "web", address)
	g.applied(g.routes("calls", web("calls.test", "/", "web")))
	if err := syscall.Kill(nginxPID(t, g.rig), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c := caller(t, "calls.test", g.addr2, insecure.NewCredentials())
	g.until("calls are taken again", func() bool { return check(c, "") == nil })
}

// grpc-web is HTTP like any other, and so is gRPC's type over HTTP/1.1.
func TestRouterGRPC_OnlyWhereItIs(t *testing.T) {
	g := newRig(t)
	g.start()
	g.endpoints("site", "web", addressOf(backend(t, "site")))
	g.applied(g.routes("site", web("site.test", "/", "web")))
	for _, kind := range []string{"application/grpc", "application/grpc-web", "application/grpc-web+proto"} {
		response, body, err := g.request(http.MethodPost, "site.test", "/a.B/C", io.NopCloser(strings.NewReader("call")), "Content-Type: "+kind)
		if err != nil || response.StatusCode != 200 || !strings.HasPrefix(body, "site POST /a.B/C body=4") {
			t.Errorf("%s: %q, %v", kind, body, err)
		}
	}
}
