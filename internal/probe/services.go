package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// ErrNoReflection says that the server answers, but offers no gRPC reflection.
var ErrNoReflection = errors.New("the server offers no gRPC reflection")

// Bounds on what reflection may cost.
const (
	maxServices    = 1000
	maxMethods     = 10_000
	maxDescriptors = 32 << 20 // bytes over all answers
	servicesLimit  = 30 * time.Second
)

// Service is one gRPC service that a server says it has.
type Service struct {
	Name    string // package.Service
	Methods []Method
}

// Utility says whether a service is one of gRPC's own helpers, which stand
// beside what an app is for: reflection, health and channelz.
func Utility(service string) bool {
	return strings.HasPrefix(service, "grpc.reflection.") || strings.HasPrefix(service, "grpc.health.") || strings.HasPrefix(service, "grpc.channelz.")
}

// Method is one method of a Service, with its kind of streaming.
type Method struct {
	Name                       string
	ClientStream, ServerStream bool
}

// Services lists the server's services by reflection v1, or v1alpha where
// that is not served, sorted by name. A nonce sends it by the probe route.
// The metadata goes with it, as Call.Metadata does.
// Bounded: 30 s if ctx has no deadline, 1000 services, 32 MiB of descriptors.
// The descriptors are read, not linked: an import that is missing or cyclic
// takes nothing away from the names.
//
// Errors: ErrNoReflection (by errors.Is), and others that name the service.
func (c *Conn) Services(ctx context.Context, nonce string, metadata map[string]string) ([]Service, error) {
	return reflected(ctx, c, nonce, metadata, c.services)
}

// reflected asks by reflection v1, or v1alpha where that is not served.
func reflected[T any](ctx context.Context, c *Conn, nonce string, metadata map[string]string, ask func(ctx context.Context, version string) (T, error)) (got T, err error) {
	ctx, cancel := bounded(ctx, servicesLimit)
	defer cancel()
	// The messages of both versions are the same on the wire.
	for _, version := range []string{"v1", "v1alpha"} {
		got, err = ask(requestContext(ctx, &answer{}, nonce, metadata), version)
		if status.Code(err) == codes.Unimplemented {
			continue
		}
		if err != nil {
			return got, fmt.Errorf("%s: reflection %s: %w", c.target.Addr, version, err)
		}
		return got, nil
	}
	return got, fmt.Errorf("%s: %w; turn it on, or name a method with its path", c.target.Addr, ErrNoReflection)
}

type request = reflection.ServerReflectionRequest

// asker opens a stream of reflection, which ends with ctx.
func (c *Conn) asker(ctx context.Context, version string) (ask func(*request) (*reflection.ServerReflectionResponse, error), err error) {
	if why := c.wire.ended(); why != "" {
		return nil, errors.New(why)
	}
	stream, err := c.client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
	if err != nil {
		return nil, err
	}
	return func(request *request) (*reflection.ServerReflectionResponse, error) {
		// A failed send's reason is what the receive gets.
		_ = stream.SendMsg(request)
		response := &reflection.ServerReflectionResponse{}
		if err := stream.RecvMsg(response); err != nil {
			return nil, err
		}
		if e := response.GetErrorResponse(); e != nil {
			return nil, fmt.Errorf("the server says %q (code %d)", clip(e.GetErrorMessage()), e.GetErrorCode())
		}
		return response, nil
	}, nil
}

func (c *Conn) services(ctx context.Context, version string) ([]Service, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	ask, err := c.asker(ctx, version)
	if err != nil {
		return nil, err
	}
	response, err := ask(&reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_ListServices{},
	})
	if err != nil {
		return nil, err
	}
	list := response.GetListServicesResponse()
	if list == nil {
		return nil, errors.New("the answer is no list of services")
	}
	if n := len(list.GetService()); n > maxServices {
		return nil, fmt.Errorf("%d services are more than the %d that are read", n, maxServices)
	}
	services := make([]Service, 0, len(list.GetService()))
	size := 0
	for _, listed := range list.GetService() {
		name := listed.GetName()
		if !protoreflect.FullName(name).IsValid() {
			return nil, fmt.Errorf("%q is no service name", clip(name))
		}
		response, err := ask(&reflection.ServerReflectionRequest{
			MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		})
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, notUnimplemented(err))
		}
		files := response.GetFileDescriptorResponse().GetFileDescriptorProto()
		for _, file := range files {
			size += len(file)
		}
		if size > maxDescriptors {
			return nil, fmt.Errorf("service %s: descriptors over %d MiB", name, maxDescriptors>>20)
		}
		service, err := find(name, files)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		services = append(services, service)
	}
	slices.SortFunc(services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return services, nil
}

// find reads one service out of the files that describe it.
func find(name string, files [][]byte) (Service, error) {
	for _, data := range files {
		file := &descriptorpb.FileDescriptorProto{}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 100}).Unmarshal(data, file); err != nil {
			return Service{}, fmt.Errorf("its descriptor is malformed: %w", err)
		}
		for _, service := range file.GetService() {
			full := service.GetName()
			if pkg := file.GetPackage(); pkg != "" {
				full = pkg + "." + full
			}
			if full == name {
				return read(name, service)
			}
		}
	}
	return Service{}, errors.New("its descriptor is missing from the answer")
}

func read(name string, descriptor *descriptorpb.ServiceDescriptorProto) (Service, error) {
	if n := len(descriptor.GetMethod()); n > maxMethods {
		return Service{}, fmt.Errorf("%d methods are more than the %d that are read", n, maxMethods)
	}
	service := Service{Name: name}
	for _, m := range descriptor.GetMethod() {
		if !protoreflect.Name(m.GetName()).IsValid() {
			return Service{}, fmt.Errorf("%q is no method name", clip(m.GetName()))
		}
		service.Methods = append(service.Methods, Method{
			Name: m.GetName(), ClientStream: m.GetClientStreaming(), ServerStream: m.GetServerStreaming(),
		})
	}
	return service, nil
}

// notUnimplemented keeps a failure halfway from reading as "no reflection".
func notUnimplemented(err error) error {
	if status.Code(err) == codes.Unimplemented {
		return errors.New(status.Convert(err).Message())
	}
	return err
}
