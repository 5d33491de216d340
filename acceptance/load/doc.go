// Package load puts an application under a steady load and counts exactly what came back.
//
// Requests leave on a fixed schedule, whether earlier ones were answered or not, so that a server that
// stalls is seen. Half of them open a connection of their own and half use kept-alive ones. Some may be
// POSTs whose answer must prove that the body arrived; websockets may echo beside them, streamed answers of a minute be on
// their way, and calls of gRPC be made over HTTP/2.
//
// Nothing but calls of gRPC is ever sent twice: net/http's Transport repeats a GET that died on a reused connection, which is
// just the loss that is to be found, so this package speaks HTTP over connections of its own. A connection
// that the server had closed before anything was written on it is replaced, as every client does.
//
// It knows no application but these contracts: a GET answers 200 and the version on its first line; a POST
// answers 200 and "<sha256> <length>" of the body; a websocket sends back what it gets; a stream of s seconds has 10 s
// lines, "line 1 of N" and so on; a call of /lain.Echo/Say is answered with its message.
package load
