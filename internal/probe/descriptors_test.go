package probe

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	standard "google.golang.org/grpc/reflection"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestFiles(t *testing.T) {
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	standard.Register(server)
	conn := open(t, Target{Addr: serveGRPC(t, server)})
	set, err := conn.Files(t.Context(), "grpc.health.v1.Health", "", nil)
	if err != nil || len(set.GetFile()) != 1 || set.GetFile()[0].GetName() != "grpc/health/v1/health.proto" {
		t.Errorf("%v, %v", set, err)
	}
	if _, err := conn.Files(t.Context(), "no.Such", "", nil); err == nil || errors.Is(err, ErrNoReflection) {
		t.Error(err)
	}
	if _, err := open(t, Target{Addr: serveGRPC(t, grpc.NewServer())}).Files(t.Context(), "a.B", "", nil); !errors.Is(err, ErrNoReflection) {
		t.Error(err)
	}
}

// files is a server that describes what it is asked for as it likes.
type files struct {
	reflection.UnimplementedServerReflectionServer
	answer func(name string) [][]byte
}

func (f files) ServerReflectionInfo(stream grpc.BidiStreamingServer[reflection.ServerReflectionRequest, reflection.ServerReflectionResponse]) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client is gone
		}
		given := f.answer(request.GetFileContainingSymbol() + request.GetFileByFilename())
		if err := stream.Send(&reflection.ServerReflectionResponse{MessageResponse: &reflection.ServerReflectionResponse_FileDescriptorResponse{
			FileDescriptorResponse: &reflection.FileDescriptorResponse{FileDescriptorProto: given}}}); err != nil {
			return err
		}
	}
}

// faults: 53
//
// Fault 53: imports that are cyclic, missing, without end, or too big.
func TestHostileFiles(t *testing.T) {
	file := func(name, pkg string, imports ...string) []byte {
		data, err := proto.Marshal(&descriptorpb.FileDescriptorProto{Name: &name, Package: &pkg, Dependency: imports})
		if err != nil {
			t.Error(err)
		}
		return data
	}
	next, big := 0, strings.Repeat("y", 3<<20)
	for name, tc := range map[string]struct {
		answer func(name string) [][]byte
		want   string // "" is success, with two files
	}{
		"a cycle": {func(name string) [][]byte {
			if name == "b.proto" {
				return [][]byte{file("b.proto", "", "a.proto", "b.proto")}
			}
			return [][]byte{file("a.proto", "", "b.proto")}
		}, ""},
		"nothing":       {func(string) [][]byte { return nil }, "no descriptor"},
		"malformed":     {func(string) [][]byte { return [][]byte{[]byte("\xff\xff")} }, "malformed"},
		"another's":     {func(string) [][]byte { return [][]byte{file("a.proto", "", "\x1b[31m")} }, "gave other files"},
		"without end":   {func(string) [][]byte { next++; return [][]byte{file(fmt.Sprint(next), "", fmt.Sprint(next+1))} }, "more than 2000 files"},
		"huge together": {func(string) [][]byte { next++; return [][]byte{file(fmt.Sprint(next), big, fmt.Sprint(next+1))} }, "over 32 MiB"},
		"huge":          {func(string) [][]byte { return [][]byte{make([]byte, 5<<20)} }, "larger than max"},
	} {
		t.Run(name, func(t *testing.T) {
			next = 0
			server := grpc.NewServer()
			reflection.RegisterServerReflectionServer(server, files{answer: tc.answer})
			set, err := open(t, Target{Addr: serveGRPC(t, server)}).Files(t.Context(), "a.B", "", nil)
			switch {
			case tc.want == "" && (err != nil || len(set.GetFile()) != 2):
				t.Errorf("%d files, %v", len(set.GetFile()), err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\x1b")):
				t.Error(err)
			}
		})
	}
}
