package cmd

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"grpcmesh/internal/k8s"
)

// pseudoterminal is a terminal to write to, and what has been written to it.
func pseudoterminal(t *testing.T) (tty *os.File, written func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60}); err != nil {
		t.Fatal(err)
	}
	return tty, func() string {
		all := ""
		for !strings.HasSuffix(all, "END\r\n") {
			buf := make([]byte, 4096)
			n, err := master.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			all += string(buf[:n])
		}
		return all
	}
}

// course has two workloads come up, and something else said in between.
func course(b *board, out interface{ Write([]byte) (int, error) }) {
	one := k8s.Workload{Kind: "Deployment", Namespace: "test", Name: "one"}
	two := k8s.Workload{Kind: "StatefulSet", Namespace: "test", Name: "two"}
	b.coming(out, one, k8s.Coming{Wanted: 2, Condition: "Updated: 0/2"}, withSidecar)
	b.coming(out, one, k8s.Coming{Wanted: 2, Ready: 1, Sidecars: 1, Came: []string{"one-a"}, Condition: "Updated: 1/2"}, withSidecar)
	b.coming(out, one, k8s.Coming{Wanted: 2, Ready: 1, Sidecars: 1, Condition: "Available: 1/2"}, withSidecar) // no pod more
	b.coming(out, two, k8s.Coming{Wanted: 1, Ready: 1}, without)
	b.print(out, func() { _, _ = fmt.Fprintln(out, "said") })
	b.done(out, two)
	b.coming(out, one, k8s.Coming{Wanted: 2, Ready: 2, Sidecars: 2, Came: []string{"one-b\x1b[2J"}, Condition: "Pending termination: 1"}, withSidecar)
	b.done(out, one)
	_, _ = fmt.Fprintln(out, "END")
}

// TestBoardInAPipe: a line at each change, and no escape code.
func TestBoardInAPipe(t *testing.T) {
	var out bytes.Buffer
	course(&board{}, &out)
	want := `waiting    Deployment/one: 0 of 2 pods ready with the sidecar
waiting    Deployment/one: 1 of 2 pods ready with the sidecar, new: one-a
waiting    StatefulSet/two: 1 of 1 pod ready without a sidecar
said
waiting    Deployment/one: 2 of 2 pods ready with the sidecar; Pending termination: 1, new: one-b\x1b[2J
END
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}

// TestBoardAtATerminal: one line, redrawn within the terminal's width; what is
// said meanwhile stays above it, and so does the last state of each workload.
func TestBoardAtATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	tty, written := pseudoterminal(t)
	course(&board{}, tty)
	const clear = "\x1b[K"
	want := strings.Join([]string{
		"\rwaiting    Deployment/one: 0 of 2 pods ready with the sidecar"[:60] + clear,
		"\rwaiting    Deployment/one: 1 of 2 pods ready with the sidecar, new: one-a"[:60] + clear,
		"\rwaiting    Deployment/one: 1 of 2 pods ready with the sidecar, new: one-a"[:60] + clear,
		"\rwaiting    2 workloads: 2 of 3 pods ready" + clear,
		"\r" + clear + "said\r\n\rwaiting    2 workloads: 2 of 3 pods ready" + clear,
		"\r" + clear + "waiting    StatefulSet/two: 1 of 1 pod ready without a sidecar\r\n",
		"\rwaiting    Deployment/one: 1 of 2 pods ready with the sidecar, new: one-a"[:60] + clear,
		"\rwaiting    Deployment/one: 2 of 2 pods ready with the sidecar"[:60] + clear,
		"\r" + clear + `waiting    Deployment/one: 2 of 2 pods ready with the sidecar; Pending termination: 1, new: one-b\x1b[2J` + "\r\n",
		"END\r\n",
	}, "")
	if got := written(); got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

// TestBoardUnwanted: who wants no escape codes gets none.
func TestBoardUnwanted(t *testing.T) {
	for name, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TERM", "xterm")
			t.Setenv("NO_COLOR", "")
			t.Setenv(name, value)
			tty, written := pseudoterminal(t)
			course(&board{}, tty)
			if got := written(); strings.Contains(got, "\x1b") || strings.Count(got, "\r") != strings.Count(got, "\r\n") {
				t.Errorf("%q", got)
			}
		})
	}
}
