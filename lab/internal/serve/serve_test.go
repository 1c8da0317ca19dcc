package serve

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
)

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.(*net.TCPListener)
}

func TestForwardKeepsHalvesApart(t *testing.T) {
	backend, front := listen(t), listen(t)
	go func() {
		connection, err := backend.Accept()
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		// It answers only once it has seen the caller's end.
		all, _ := io.ReadAll(connection)
		if _, err := connection.Write(append([]byte("got "), all...)); err != nil {
			t.Error(err)
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- Forward(t.Context(), front, backend.Addr().String()) }()
	connection, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := connection.Write([]byte("all of it")); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(connection); err != nil || string(answer) != "got all of it" {
		t.Errorf("got %q, %v", answer, err)
	}
	if err := front.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended by %v", err)
	}
}

func TestForwardHangsUpWithoutABackend(t *testing.T) {
	gone := listen(t)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	front := listen(t)
	go func() { _ = Forward(t.Context(), front, gone.Addr().String()) }()
	connection, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if n, err := connection.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v; want an end", n, err)
	}
}

func TestRegistryAnswersOnEveryListener(t *testing.T) {
	inside, outside := listen(t), listen(t)
	ended := make(chan error, 1)
	go func() { ended <- Registry(t.TempDir(), inside, outside) }()
	for _, listener := range []net.Listener{inside, outside} {
		response, err := http.Get("http://" + listener.Addr().String() + "/v2/")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", listener.Addr(), response.Status)
		}
	}
	if err := outside.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a lost listener went unnoticed")
	}
}
