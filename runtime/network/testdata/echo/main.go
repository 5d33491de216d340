// Command echo is the application and the listener of this package's engine tests: it answers what it is
// sent, or says whether somebody answers.
//
//	echo serve tcp:8080 udp:8080   until standard input ends, or for ever with "-" as first argument
//	echo ask tcp 10.0.0.1:80       exit 0 if a message comes back
//	echo dial 10.0.0.1:80          exit 0 if a TCP connection opens
//	echo resolve NAME              exit 0 if it has an address
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch args[0] {
	case "ask":
		return ask(args[1], args[2])
	case "dial":
		_, err := net.DialTimeout("tcp", args[1], 1500*time.Millisecond)
		return err
	case "resolve":
		found, err := net.LookupHost(args[1])
		fmt.Println(found)
		return err
	}
	return serve(args[1:])
}

func ask(network, address string) error {
	conn, err := net.DialTimeout(network, address, 1500*time.Millisecond)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(1500 * time.Millisecond))
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 5))
	return err
}

func serve(what []string) error {
	forever := what[0] == "-"
	if forever {
		what = what[1:]
	}
	for _, one := range what {
		network, address, _ := strings.Cut(one, ":")
		if err := open(network, address); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if forever {
		select {}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func open(network, address string) error {
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	if network == "udp" {
		packets, err := net.ListenPacket(network, address)
		if err == nil {
			go answerPackets(packets)
		}
		return err
	}
	listener, err := net.Listen(network, address)
	if err == nil {
		go answer(listener)
	}
	return err
}

func answer(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
	}
}

func answerPackets(packets net.PacketConn) {
	buf := make([]byte, 100)
	for {
		n, from, err := packets.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = packets.WriteTo(buf[:n], from)
	}
}
