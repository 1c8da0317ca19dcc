package serve

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry serves an image registry on all listeners at once until one fails.
// Blobs are kept in folder, manifests in memory.
func Registry(folder string, listeners ...net.Listener) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	server := &http.Server{
		Handler: registry.New(
			registry.WithBlobHandler(registry.NewDiskBlobHandler(folder)),
			registry.Logger(log.New(io.Discard, "", 0)),
		),
		// Only the headers: a layer takes as long as it takes.
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() { failed <- server.Serve(listener) }()
	}
	return <-failed
}
