package network

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"lain.internal/lain/lain/fault"
)

// nftTimeout bounds one call; the largest table takes a few milliseconds.
const nftTimeout = 20 * time.Second

// nft is the command that speaks to nftables, its first arguments included.
type nft []string

// load applies a script as one transaction: all of it or nothing.
func (n nft) load(ctx context.Context, script string) error {
	_, err := n.run(ctx, script, "-f", "-")
	return err
}

// list is the kernel's view of a table without its counters; the same rules give the same text.
func (n nft) list(ctx context.Context, table string) (string, error) {
	return n.run(ctx, "", "-s", "list", "table", "inet", table)
}

func (n nft) run(ctx context.Context, script string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nftTimeout)
	defer cancel()
	var out, problem bytes.Buffer
	cmd := exec.CommandContext(ctx, n[0], append(n[1:len(n):len(n)], args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &out, &problem
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return "", refused(err, problem.String())
	}
	return out.String(), nil
}

func refused(err error, said string) error {
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n")
	cause := fmt.Errorf("nft: %w: %s", err, said)
	return fault.Hide(fault.Unavailable, cause, "the fence of this node cannot be set, so containers are not kept from it: %v", cause).
		WithHint("laind needs to be root, nft (package nftables) and a kernel with nf_tables; laind doctor checks all three.")
}
