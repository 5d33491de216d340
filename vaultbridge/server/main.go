// Command lain-vault is a Vault server for one machine: the real core of Vault, with the KV and AppRole engines
// and a file for its audit trail, behind a unix socket that only root may open.
//
// It lives in one folder and serves until SIGTERM. It initialises and unseals nothing by itself and keeps no
// key: who starts it does that over the socket, with Vault's own API. SIGHUP opens the audit file anew, which is
// for whoever rotates it. A second process on the same folder is refused. What it prints goes to its standard
// error and holds no secret.
//
// It is a module of its own, so that Vault's many dependencies stay out of ours.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/vault"
)

const (
	coreVersion = "1.14.1"
	maxRequest  = 2 << 20 // bytes; the largest secret, as base64 in JSON, has 700 kB
	maxDuration = 30 * time.Second
	idle        = 5 * time.Minute
	stopLimit   = 5 * time.Second // for requests that are under way at SIGTERM
)

func main() {
	dir := flag.String("dir", "", "the folder it lives in; paths of the audit file are taken from there")
	socket := flag.String("socket", "", "the unix socket it serves on, absolute; made with mode 0600")
	version := flag.Bool("version", false, "print the version of Vault's core and exit")
	flag.Parse()
	if *version {
		fmt.Println("lain-vault, Vault core " + coreVersion)
		return
	}
	log := hclog.New(&hclog.LoggerOptions{Name: "lain-vault", Level: hclog.Warn, Output: os.Stderr})
	if err := run(*dir, *socket, log); err != nil {
		log.Error("lain-vault ends", "error", err)
		os.Exit(1)
	}
}

// run is the life of the process, in order.
func run(dir, socket string, log hclog.Logger) error {
	if flag.NArg() > 0 || dir == "" || socket == "" {
		return errors.New("use: lain-vault -dir FOLDER -socket FILE")
	}
	if err := harden(log); err != nil {
		return err
	}
	stop, reopen := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(reopen, syscall.SIGHUP)
	release, err := enter(dir)
	if err != nil {
		return err
	}
	defer release()
	core, reload, err := open(log)
	if err != nil {
		return err
	}
	go func() {
		for range reopen {
			reload()
		}
	}()
	return errors.Join(serve(core, socket, stop, log), core.Shutdown())
}

// serve answers on the socket until a signal, or until the listener breaks.
func serve(core *vault.Core, socket string, stop <-chan os.Signal, log hclog.Logger) error {
	door, err := listen(socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(core), ReadHeaderTimeout: maxDuration, ReadTimeout: maxDuration, IdleTimeout: idle,
		ErrorLog: log.StandardLogger(nil)}
	broken := make(chan error, 1)
	go func() { broken <- server.Serve(door) }()
	select {
	case err := <-broken:
		return err
	case <-stop:
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

func handler(core *vault.Core) http.Handler {
	limits := &configutil.Listener{MaxRequestSize: maxRequest, MaxRequestDuration: maxDuration}
	return vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: limits})
}
