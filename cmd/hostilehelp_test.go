package cmd

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// writeProto writes the service that hostile servers pretend to have.
func writeProto(t *testing.T, dir string) {
	t.Helper()
	text := `syntax = "proto3";
package a;
message In { string pod = 1; In in = 2; }
service B { rpc C(In) returns (In); rpc Watch(In) returns (stream In); }
`
	if err := os.WriteFile(filepath.Join(dir, "b.proto"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// framed is one message as gRPC frames it.
func framed(payload []byte) []byte {
	head := []byte{0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	return append(head, payload...)
}

// field is a field of text, as protobuf has it.
func field(number int, text string) []byte {
	return append([]byte{byte(number<<3 | 2), byte(len(text))}, text...)
}

// percent writes a status message as gRPC does on the wire.
func percent(text string) string {
	out := ""
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' || b == '%' {
			out += fmt.Sprintf("%%%02X", b)
		} else {
			out += string(rune(b))
		}
	}
	return out
}

func matches(text, pattern string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// peakOf watches a process until it ends, and then tells the most memory that it
// had resident, as the kernel's high-water mark was last seen. What getrusage says
// is no use: it begins with what the parent had.
func peakOf(pid int) <-chan int64 {
	peak := make(chan int64, 1)
	go func() {
		most := int64(0)
		for {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			mark := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
			if err != nil || mark == nil { // it has ended
				peak <- most
				return
			}
			kib, _ := strconv.ParseInt(string(mark[1]), 10, 64)
			most = max(most, kib<<10)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return peak
}
