package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// delayed opens a way to the API server on which every byte takes half of the
// round trip each way, and gives a kubeconfig for it. It ends with the context.
func (b *bench) delayed(ctx context.Context, roundTrip time.Duration) (kubeconfig string, err error) {
	server, err := url.Parse(b.config.Host)
	if err != nil {
		return "", err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		<-ctx.Done()
		_ = l.Close()
	}()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go forward(client, server.Host, roundTrip/2)
		}
	}()
	raw, err := clientcmd.LoadFromFile(b.kubeconfig())
	if err != nil {
		return "", err
	}
	cluster := raw.Clusters[raw.Contexts[raw.CurrentContext].Cluster]
	cluster.Server = "https://" + l.Addr().String()
	cluster.TLSServerName = server.Hostname()
	kubeconfig = filepath.Join(b.folder, "delayed")
	return kubeconfig, clientcmd.WriteToFile(*raw, kubeconfig)
}

func forward(client net.Conn, address string, late time.Duration) {
	server, err := (&net.Dialer{Timeout: 10 * time.Second}).Dial("tcp", address)
	if err != nil {
		_ = client.Close()
		return
	}
	go copyLate(client, server, late)
	copyLate(server, client, late)
}

// copyLate copies one way; each piece is written so long after it was read, however
// many are under way.
func copyLate(to, from net.Conn, late time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	pieces := make(chan piece, 1<<16)
	go func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				pieces <- piece{buffer[:n], time.Now().Add(late)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// keep writes a file of the run.
func (b *bench) keep(name, content string) (string, error) {
	path := filepath.Join(b.folder, name)
	return path, os.WriteFile(path, []byte(content), 0o600)
}
