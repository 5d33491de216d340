package probe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// selfHost stands for the container's own address.
const selfHost = "self"

// maxHead bounds what is read of an answer, in bytes.
const maxHead = 16 << 10

var errNoStatus = errors.New("the answer is not HTTP")

func askTCP(ctx context.Context, address string) (string, bool) {
	conn, asked, err := dial(ctx, address)
	line := "connect to " + asked + ": "
	if err != nil {
		return line + reason(ctx, err), false
	}
	_ = conn.Close()
	return line + "open", true
}

// askHTTP sends one GET and looks at the status alone. Redirects are an answer, not a way to go.
func askHTTP(ctx context.Context, t target) (string, bool) {
	conn, asked, err := dial(ctx, t.address)
	line := "GET http://" + asked + t.path + ": "
	if err != nil {
		return line + reason(ctx, err), false
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	request := "GET " + t.path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: lain-helper\r\n" +
		"Accept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return line + reason(ctx, err), false
	}
	status, text, err := readStatus(conn)
	if err != nil {
		return line + reason(ctx, err), false
	}
	return line + strings.TrimSpace(strconv.Itoa(status)+" "+text), status >= 200 && status < 400
}

// readStatus reads the final status line, past any interim (1xx) answers.
func readStatus(r io.Reader) (status int, text string, err error) {
	head := bufio.NewReader(io.LimitReader(r, maxHead))
	for {
		line, err := readLine(head)
		if err != nil {
			return 0, "", err
		}
		if status, text, err = parseStatus(line); err != nil || status >= 200 {
			return status, text, err
		}
		for line != "" { // the rest of an interim answer
			if line, err = readLine(head); err != nil {
				return 0, "", err
			}
		}
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		return "", errNoStatus
	}
	return strings.TrimRight(line, "\r\n"), err
}

// parseStatus reads "HTTP/1.1 200 OK".
func parseStatus(line string) (status int, text string, err error) {
	version, rest, _ := strings.Cut(line, " ")
	digits, text, _ := strings.Cut(rest, " ")
	status, err = strconv.Atoi(digits)
	if !strings.HasPrefix(version, "HTTP/1.") || len(digits) != 3 || err != nil || status < 100 {
		return 0, "", errNoStatus
	}
	return status, text, nil
}

// dial connects, and returns the address it has really asked.
func dial(ctx context.Context, address string) (conn net.Conn, asked string, err error) {
	host, port, _ := net.SplitHostPort(address)
	asked = address
	if host == selfHost {
		asked = net.JoinHostPort(ownAddress(), port)
	}
	conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", asked)
	if err != nil && host == selfHost && errors.Is(err, syscall.ECONNREFUSED) {
		err = onlyLoopback(ctx, port, err)
	}
	return conn, asked, err
}

// onlyLoopback explains a refusal by an application that listens on loopback only.
func onlyLoopback(ctx context.Context, port string, refused error) error {
	local := net.JoinHostPort("127.0.0.1", port)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", local)
	if err != nil {
		return refused
	}
	_ = conn.Close()
	return errors.New("refused, but " + local + " answers: listen on 0.0.0.0 instead of 127.0.0.1")
}

// ownAddress is the first address of this network namespace that another machine could use, IPv4 first;
// loopback where there is none.
func ownAddress() string {
	addresses, _ := net.InterfaceAddrs()
	found := "127.0.0.1"
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		if network.IP.To4() != nil {
			return network.IP.String()
		}
		found = network.IP.String()
	}
	return found
}

// reason is err in the words a person would use.
func reason(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection was closed without an answer"
	}
	return err.Error()
}
