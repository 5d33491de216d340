package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"time"
)

// caller makes one call of gRPC after the other until ctx ends, over one connection in HTTP/2 without TLS. A call that the
// server tells it has not begun with (GOAWAY, REFUSED_STREAM; RFC 9113, 8.7) is made again by net/http, as every client
// of gRPC does.
func (l *Load) caller(ctx context.Context, id int) {
	defer l.done.Done()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: l.o.Timeout}
	for i := 0; ; i++ {
		l.tally.callSent()
		began := time.Now()
		err := l.call(client, fmt.Appendf(nil, "caller %d call %d", id, i))
		l.tally.callAnswered(time.Since(began), err)
		if !pause(ctx, l.o.CallEvery) {
			return
		}
	}
}

// call makes a unary call whose answer is the message itself (gRPC over HTTP2).
func (l *Load) call(client *http.Client, message []byte) error {
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	r, err := http.NewRequest(http.MethodPost, "http://"+l.o.CallAddr+"/lain.Echo/Say", bytes.NewReader(framed))
	if err != nil {
		return err
	}
	r.Host = l.o.Host
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	resp, err := client.Do(r)
	if err != nil {
		return lossOf("call", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch status := resp.Trailer.Get("Grpc-Status"); {
	case err != nil:
		return lossOf("read the answer of a call", err)
	case resp.StatusCode != 200:
		return loss(fmt.Sprintf("call: status %d", resp.StatusCode))
	case status != "0":
		return loss(fmt.Sprintf("call: status %q of gRPC", status))
	case !bytes.Equal(body, framed):
		return loss("call: the answer differs")
	}
	return nil
}
