// Command greeter is a service of gRPC, to be pushed: hello.Greeter/Greet takes a name and gives a greeting. Its modules are
// vendored before it is pushed (go mod vendor), so that its build needs no network.
package main

import (
	"cmp"
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type greeter interface {
	greet(ctx context.Context, name string) (string, error)
}

type server struct{}

func (server) greet(_ context.Context, name string) (string, error) {
	return "Hello " + cmp.Or(name, "you") + " from gRPC!", nil
}

// service is what a .proto file would say: rpc Greet(google.protobuf.StringValue) returns (google.protobuf.StringValue).
var service = grpc.ServiceDesc{
	ServiceName: "hello.Greeter",
	HandlerType: (*greeter)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Greet", Handler: func(s any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var name wrapperspb.StringValue
		if err := decode(&name); err != nil {
			return nil, err
		}
		text, err := s.(greeter).greet(ctx, name.GetValue())
		return wrapperspb.String(text), err
	}}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", ":"+cmp.Or(os.Getenv("PORT"), "8080"))
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&service, server{})
	go func() {
		<-ctx.Done()
		s.GracefulStop() // finishes the calls that are under way
	}()
	if err := s.Serve(l); err != nil {
		log.Fatal(err)
	}
}
