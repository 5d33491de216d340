package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	callLimit = 30 * time.Second // of one request, beside what the caller's context says
	maxAnswer = 1 << 20          // bytes
)

// client speaks the few parts of Vault's HTTP API that set-up needs. It keeps no connection.
type client struct{ http *http.Client }

func newClient(socket string) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &client{&http.Client{Timeout: callLimit, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// refusal is an answer of Vault's that is not a yes.
type refusal struct {
	code   int // of HTTP
	errors []string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("vault answers %d: %s", r.code, strings.Join(r.errors, "; "))
}

// refused reports whether err is an answer with one of these codes.
func refused(err error, codes ...int) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, code := range codes {
		if r.code == code {
			return true
		}
	}
	return false
}

// call sends body, unless it is nil, as JSON and reads the answer into out, unless that is nil. Paths are ours
// and are not escaped. A no of Vault's is a *refusal.
func (c *client) call(ctx context.Context, token, method, path string, body, out any) error {
	request, err := newRequest(ctx, token, method, path, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %w", method, path, refusalOf(response.StatusCode, data))
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, out)
}

func newRequest(ctx context.Context, token, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://vault/v1/"+path, content)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("X-Vault-Token", token)
	}
	return request, nil
}

func refusalOf(code int, data []byte) *refusal {
	var answer struct{ Errors []string }
	_ = json.Unmarshal(data, &answer) // without text the code alone says it
	return &refusal{code, answer.Errors}
}

// status is what Vault says of itself to anybody.
type status struct{ Initialized, Sealed bool }

func (c *client) status(ctx context.Context) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var s status
	err := c.call(ctx, "", "GET", "sys/seal-status", nil, &s)
	return s, err
}
