package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
)

// mostMessage is how large a message of gRPC may be, bytes.
const mostMessage = 4 << 20

// say answers each message of a call of gRPC with the same one (gRPC over HTTP2: a byte that says whether it is compressed,
// four of length, the message), as they come, and ends with status 0.
func say(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	err := sendBack(w, r.Body)
	status, text := "0", ""
	if err != nil {
		status, text = "13", err.Error() // INTERNAL
	}
	w.Header().Set("Grpc-Status", status)
	w.Header().Set("Grpc-Message", text)
}

func sendBack(w http.ResponseWriter, r io.Reader) error {
	flush := http.NewResponseController(w)
	for {
		message, err := readMessage(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(message); err != nil {
			return err
		}
		if err := flush.Flush(); err != nil {
			return err
		}
	}
}

// readMessage is the next message with its head; io.EOF behind the last.
func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > mostMessage {
		return nil, errors.New("the message is too large")
	}
	message := append(head, make([]byte, n)...)
	if _, err := io.ReadFull(r, message[5:]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return message, nil
}
