package probe

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	standard "google.golang.org/grpc/reflection"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestServices(t *testing.T) {
	wantHealth := Service{Name: "grpc.health.v1.Health", Methods: []Method{
		{Name: "Check"}, {Name: "List"}, {Name: "Watch", ServerStream: true},
	}}
	for name, register := range map[string]func(*grpc.Server){
		"v1 and v1alpha": func(s *grpc.Server) { standard.Register(s) },
		"v1alpha only": func(s *grpc.Server) {
			grpc_reflection_v1alpha.RegisterServerReflectionServer(s, standard.NewServer(standard.ServerOptions{Services: s}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			nonces := make(chan string, 16)
			server := grpc.NewServer(grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				md, _ := metadata.FromIncomingContext(stream.Context())
				nonces <- strings.Join(append(md.Get(HeaderNonce), md.Get("k")...), ",")
				return handler(srv, stream)
			}))
			healthpb.RegisterHealthServer(server, health.NewServer())
			register(server)
			services, err := open(t, Target{Addr: serveGRPC(t, server)}).Services(t.Context(), "n0", map[string]string{"k": "v"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantHealth, services[0]); diff != "" {
				t.Error(diff)
			}
			last := services[len(services)-1]
			if diff := cmp.Diff([]Method{{Name: "ServerReflectionInfo", ClientStream: true, ServerStream: true}}, last.Methods); diff != "" {
				t.Error(diff)
			}
			if got := <-nonces; got != "n0,v" {
				t.Errorf("nonce %q", got)
			}
		})
	}
}

func TestNoReflection(t *testing.T) {
	conn := open(t, Target{Addr: serveGRPC(t, grpc.NewServer())})
	if _, err := conn.Services(t.Context(), "", nil); !errors.Is(err, ErrNoReflection) {
		t.Error(err)
	}
	dead := open(t, Target{Addr: frames(t, func(p *peer, _ uint32) { _ = p.conn.Close() })})
	dead.Call(t.Context(), Call{Path: "/a.B/C"})
	if _, err := dead.Services(t.Context(), "", nil); err == nil || errors.Is(err, ErrNoReflection) {
		t.Error("a dead connection is not one without reflection:", err)
	}
}

// faults: 53
//
// Fault 53: a server that lies.
func TestHostileReflection(t *testing.T) {
	file := func(f *descriptorpb.FileDescriptorProto) []byte {
		data, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	service := func(name string, methods ...string) *descriptorpb.ServiceDescriptorProto {
		s := &descriptorpb.ServiceDescriptorProto{Name: proto.String(name)}
		for _, m := range methods {
			s.Method = append(s.Method, &descriptorpb.MethodDescriptorProto{Name: proto.String(m)})
		}
		return s
	}
	cyclic := file(&descriptorpb.FileDescriptorProto{Name: proto.String("a.proto"), Package: proto.String("a"), Dependency: []string{"a.proto", "gone.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{service("B", "C")}})
	many := make([]string, maxServices+1)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	lots := make([]string, maxMethods+1)
	for i := range lots {
		lots[i] = fmt.Sprint("m", i)
	}
	huge := file(&descriptorpb.FileDescriptorProto{Package: proto.String("z" + strings.Repeat("y", 3<<20)), Service: []*descriptorpb.ServiceDescriptorProto{service("B")}})
	hugeNames := make([]string, 12)
	for i := range hugeNames {
		hugeNames[i] = fmt.Sprintf("h.S%d", i)
	}
	hugeFor := func(symbol string) []byte {
		own := file(&descriptorpb.FileDescriptorProto{Package: proto.String("h"), Service: []*descriptorpb.ServiceDescriptorProto{service(strings.TrimPrefix(symbol, "h."))}})
		return append(bytes.Clone(huge), own...) // fields of later bytes win
	}
	for name, tc := range map[string]struct {
		names []string
		file  func(symbol string) []byte
		want  string // "" is success
	}{
		"cyclic and missing imports": {[]string{"a.B"}, func(string) []byte { return cyclic }, ""},
		"garbage":                    {[]string{"a.B"}, func(string) []byte { return []byte("\xff\xff\xff garbage") }, "malformed"},
		"empty":                      {[]string{"a.B"}, func(string) []byte { return nil }, "missing"},
		"of another service":         {[]string{"a.X"}, func(string) []byte { return cyclic }, "missing"},
		"bad service name":           {[]string{"a/\x1b[31m"}, nil, "no service name"},
		"bad method name": {[]string{"B"}, func(string) []byte {
			return file(&descriptorpb.FileDescriptorProto{Service: []*descriptorpb.ServiceDescriptorProto{service("B", "C\r\n")}})
		}, "no method name"},
		"too many services": {many, nil, "services are more"},
		"too many methods": {[]string{"B"}, func(string) []byte {
			return file(&descriptorpb.FileDescriptorProto{Service: []*descriptorpb.ServiceDescriptorProto{service("B", lots...)}})
		}, "methods are more"},
		"huge":          {hugeNames, hugeFor, "over 32 MiB"},
		"one over 4MiB": {[]string{"a.B"}, func(string) []byte { return make([]byte, 5<<20) }, "larger than max"},
		"an error":      {[]string{"a.B"}, nil, "no such symbol"},
	} {
		t.Run(name, func(t *testing.T) {
			server := grpc.NewServer()
			reflection.RegisterServerReflectionServer(server, liar{names: tc.names, file: tc.file})
			services, err := open(t, Target{Addr: serveGRPC(t, server)}).Services(t.Context(), "", nil)
			if tc.want == "" {
				if err != nil || len(services) != 1 || services[0].Methods[0].Name != "C" {
					t.Errorf("%v %v", services, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrNoReflection) {
				t.Errorf("%v", err)
			}
		})
	}
}

type liar struct {
	reflection.UnimplementedServerReflectionServer
	names []string
	file  func(symbol string) []byte
}

func (l liar) ServerReflectionInfo(stream grpc.BidiStreamingServer[reflection.ServerReflectionRequest, reflection.ServerReflectionResponse]) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return status.Error(codes.Aborted, err.Error())
		}
		response := &reflection.ServerReflectionResponse{}
		symbol := request.GetFileContainingSymbol()
		switch {
		case symbol == "":
			list := &reflection.ListServiceResponse{}
			for _, name := range l.names {
				list.Service = append(list.Service, &reflection.ServiceResponse{Name: name})
			}
			response.MessageResponse = &reflection.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: list}
		case l.file == nil:
			response.MessageResponse = &reflection.ServerReflectionResponse_ErrorResponse{
				ErrorResponse: &reflection.ErrorResponse{ErrorCode: 5, ErrorMessage: "no such symbol"},
			}
		default:
			response.MessageResponse = &reflection.ServerReflectionResponse_FileDescriptorResponse{
				FileDescriptorResponse: &reflection.FileDescriptorResponse{FileDescriptorProto: [][]byte{l.file(symbol)}},
			}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func tlsConfig(c tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"h2"}}
}
