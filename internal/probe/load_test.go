package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// unknown answers every call stamped, trailers-only, after a while.
func unknown(calls *atomic.Int64, takes time.Duration, more ...grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(more, grpc.ForceServerCodecV2(keep{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		calls.Add(1)
		md, _ := metadata.FromIncomingContext(stream.Context())
		if len(md.Get(HeaderNonce)) != 1 || md.Get(HeaderNonce)[0] != "n0" || md.Get("k")[0] != "v" {
			return status.Error(codes.InvalidArgument, "not the call")
		}
		var in mem.BufferSlice
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		if string(in.Materialize()) != "payload" {
			return status.Error(codes.InvalidArgument, "not the payload")
		}
		<-time.After(takes)
		stream.SetTrailer(stamped())
		return status.Error(codes.Unimplemented, "unknown method")
	}))...)
}

func loadCall() Call {
	return Call{Path: "/no.Such/Method", Nonce: "n0", Proof: "p0", Payload: []byte("payload"), Metadata: map[string]string{"k": "v"}}
}

// told runs a load and gives what became of its calls.
func told(t *testing.T, l Load, target Target) (all []Loaded, dials int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dials, err := l.Run(ctx, target, func(one Loaded) { all = append(all, one) })
	if err != nil {
		t.Fatal(err)
	}
	return all, dials
}

func good(t *testing.T, all []Loaded) {
	t.Helper()
	for _, one := range all {
		if one.Code != codes.Unimplemented || !one.Answered || one.Backend != "10.0.0.1:50051" || one.Flags != "-" || one.Latency <= 0 || one.At < one.Latency {
			t.Fatalf("%+v", one)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		load       Load
		calls, may int // at least, at most
	}{
		"so many":            {Load{Requests: 1000, Connections: 3, InFlight: 20}, 1000, 1000},
		"fewer than fit":     {Load{Requests: 1, Connections: 3, InFlight: 20}, 1, 1},
		"so long":            {Load{Duration: 300 * time.Millisecond, InFlight: 4}, 50, 1 << 30},
		"at a rate":          {Load{Duration: 500 * time.Millisecond, Rate: 200, InFlight: 4, Connections: 2}, 100, 100},
		"so many at a rate":  {Load{Requests: 20, Rate: 200}, 20, 20},
		"whichever is first": {Load{Requests: 20, Duration: time.Hour}, 20, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			tc.load.Call = loadCall()
			all, dials := told(t, tc.load, Target{Addr: serveGRPC(t, unknown(&calls, time.Millisecond))})
			good(t, all)
			if len(all) < tc.calls || len(all) > tc.may || int(calls.Load()) != len(all) || dials < 1 || dials > max(tc.load.Connections, 1) {
				t.Errorf("%d told, %d served, %d dials", len(all), calls.Load(), dials)
			}
			if last := all[len(all)-1].At; tc.load.Rate == 200 && last < time.Duration(len(all)-1)*5*time.Millisecond {
				t.Errorf("%d calls at 200 a second took %v", len(all), last)
			}
		})
	}
}

// TestLoadProof: stamps without the proof are the app's own word.
func TestLoadProof(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	l := Load{Requests: 3, Call: loadCall()}
	l.Call.Proof = "another"
	all, _ := told(t, l, Target{Addr: serveGRPC(t, unknown(&calls, 0))})
	for _, one := range all {
		if one.Backend != "" || one.Flags != "" || one.Code != codes.Unimplemented {
			t.Errorf("%+v", one)
		}
	}
}

// TestLoadAge: a server that ends its connections in order loses no call.
func TestLoadAge(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := unknown(&calls, 2*time.Millisecond, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 100 * time.Millisecond, MaxConnectionAgeGrace: 5 * time.Second}))
	all, dials := told(t, Load{Duration: time.Second, InFlight: 20, Connections: 2, Call: loadCall()}, Target{Addr: serveGRPC(t, server)})
	good(t, all)
	if dials < 6 || int(calls.Load()) != len(all) {
		t.Errorf("%d dials, %d told, %d served", dials, len(all), calls.Load())
	}
}

// TestLoadStorm: a server that processes nothing: every call is made twice at
// most, and the load comes to an end.
func TestLoadStorm(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	addr := frames(t, func(p *peer, stream uint32) {
		seen.Add(1)
		if stream == 1 {
			_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
		}
	})
	all, _ := told(t, Load{Requests: 20, InFlight: 2, Call: loadCall()}, Target{Addr: addr})
	if len(all) != 20 || seen.Load() > 40 {
		t.Errorf("%d told, %d seen", len(all), seen.Load())
	}
	for _, one := range all {
		if one.Code != codes.Unavailable || one.Answered {
			t.Errorf("%+v", one)
		}
	}
}

// TestLoadRefused: where nothing listens calls fail, those that are due.
func TestLoadRefused(t *testing.T) {
	t.Parallel()
	all, dials := told(t, Load{Duration: 350 * time.Millisecond, Rate: 100, InFlight: 5, Call: loadCall()}, Target{Addr: "127.0.0.1:1"})
	if len(all) != 35 || dials != 0 {
		t.Errorf("%d told, %d dials", len(all), dials)
	}
	for _, one := range all {
		if one.Code != codes.Unavailable || one.Answered || one.Latency < 0 {
			t.Errorf("%+v", one)
		}
	}
	if all, _ = told(t, Load{Requests: 2, Call: loadCall()}, Target{Addr: "127.0.0.1:1"}); len(all) != 2 {
		t.Errorf("%d told", len(all))
	}
}

func TestLoadTLS(t *testing.T) {
	t.Parallel()
	own, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	var calls atomic.Int64
	server := unknown(&calls, 0, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12})))
	addr := serveGRPC(t, server)
	l := Load{Requests: 100, InFlight: 7, Call: loadCall()}
	all, dials := told(t, l, Target{Addr: addr, Authority: "app.example", TLS: &tls.Config{RootCAs: pool}})
	good(t, all)
	if len(all) != 100 || dials != 1 {
		t.Errorf("%d told, %d dials", len(all), dials)
	}
	l.Requests = 1
	if all, _ = told(t, l, Target{Addr: addr, Authority: "app.example", TLS: &tls.Config{RootCAs: x509.NewCertPool()}}); calls.Load() != 100 || all[0].Code != codes.Unavailable {
		t.Errorf("an unknown CA's server was called: %+v", all)
	}
}

// TestLoadHostile: what a server can make a load hold is bounded, however much
// it sends of whatever, to however many calls at once.
func TestLoadHostile(t *testing.T) { //nolint:paralleltest // it counts what all tests hold
	addr := frames(t, func(p *peer, stream uint32) {
		p.headers(stream, false, ":status", "200", "content-type", "application/grpc", "big", strings.Repeat("b", 10<<10))
		switch stream % 64 {
		case 1: // a reply without an end
			_ = p.WriteData(stream, false, []byte{0, 0, 0x3f, 0xff, 0xff})
			for range 8 {
				_ = p.WriteData(stream, false, make([]byte, 16<<10))
			}
		case 3: // trailers over the limit
			huge := []string{"grpc-status", "0"}
			for i := range 18 {
				huge = append(huge, fmt.Sprint("big-", i), strings.Repeat("c", 1<<10))
			}
			p.headers(stream, true, huge...)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	l := Load{InFlight: 2000, Requests: 4000, Call: loadCall()}
	ended := 0
	most := uint64(0)
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for watching.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			<-time.After(20 * time.Millisecond)
		}
	})
	dials, _ := l.Run(ctx, Target{Addr: addr}, func(one Loaded) {
		if ended++; one.Code != codes.Internal {
			t.Errorf("%+v", one)
		}
	})
	stop()
	wg.Wait()
	// Nearly all hang, with 10 KiB of headers each.
	if most > 256<<20 || most < 8<<20 || ended == 0 || dials != 1 {
		t.Errorf("%d MiB were held, %d calls ended, %d dials", most>>20, ended, dials)
	}
}

// TestLoadEnd: a load that is ended from outside ends, and what it cut off is
// not told as the server's fault.
func TestLoadEnd(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	addr := serveGRPC(t, unknown(&calls, 50*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	var all []Loaded
	_, err := Load{InFlight: 5, Call: loadCall()}.Run(ctx, Target{Addr: addr}, func(one Loaded) { all = append(all, one) })
	if err == nil || len(all) == 0 {
		t.Errorf("%v, %d told", err, len(all))
	}
	good(t, all)
}
