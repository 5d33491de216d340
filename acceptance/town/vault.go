package town

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// VaultSocket is where the vault that the server runs itself answers.
func (tw *Town) VaultSocket() string { return filepath.Join(tw.RunDir(), "vault", "vault.sock") }

// VaultPID is its process, as its node numbers it.
func (tw *Town) VaultPID(t testing.TB) int {
	t.Helper()
	return childPID(t, filepath.Join(tw.RunDir(), "vault", "live.pid"))
}

// VaultKeyFile is where its unseal key lies.
func (tw *Town) VaultKeyFile() string {
	return filepath.Join(tw.Data(), "vault", "live", "unseal.key")
}

// SignalVault sends it a signal by its name: KILL, STOP, CONT.
func (tw *Town) SignalVault(t testing.TB, signal string) {
	t.Helper()
	if out, err := tw.Exec(t.Context(), "kill", "-"+signal, fmt.Sprint(tw.VaultPID(t))); err != nil {
		t.Fatalf("kill -%s: %v\n%s", signal, err, out)
	}
}

// VaultRoot makes a root token with the unseal key, as an operator would.
func (tw *Town) VaultRoot(t testing.TB) VaultClient {
	t.Helper()
	key, err := os.ReadFile(tw.VaultKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	c := VaultClient{Socket: tw.VaultSocket()}
	var attempt struct{ Nonce, OTP string }
	var made struct {
		Token string `json:"encoded_token"`
	}
	err = c.Call(t.Context(), "PUT", "sys/generate-root/attempt", map[string]any{}, &attempt)
	if err == nil {
		err = c.Call(t.Context(), "PUT", "sys/generate-root/update", map[string]any{"key": strings.TrimSpace(string(key)), "nonce": attempt.Nonce}, &made)
	}
	if err != nil {
		t.Fatalf("make a root token: %v", err)
	}
	padded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(made.Token, "="))
	if err != nil || len(padded) != len(attempt.OTP) {
		t.Fatalf("the root token has an unknown form: %v", err)
	}
	subtle.XORBytes(padded, padded, []byte(attempt.OTP))
	c.Token = string(padded)
	return c
}

// VaultClient is an operator at a vault's socket; Token may be "".
type VaultClient struct{ Socket, Token string }

// Call asks for a path below /v1/. An answer that is not of the 200s is an error with what the vault said.
func (c VaultClient) Call(ctx context.Context, method, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://vault/v1/"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", c.Token)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if err != nil || answer == nil || len(text) == 0 {
		return err
	}
	return json.Unmarshal(text, answer)
}

// Sealed reports whether the vault is; an error means that it does not answer.
func (c VaultClient) Sealed(ctx context.Context) (bool, error) {
	var status struct{ Sealed *bool }
	err := c.Call(ctx, "GET", "sys/seal-status", nil, &status)
	if err == nil && status.Sealed == nil {
		err = errors.New("it does not say whether it is sealed")
	}
	return err == nil && *status.Sealed, err
}
