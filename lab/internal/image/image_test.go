package image

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// sample builds an image of one program and returns its layout's folder.
func sample(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(program, []byte("#!/bin/hello"), 0o700); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	err := Build(folder, Spec{
		Files:      map[string]string{"/usr/local/bin/hello": program},
		Links:      map[string]string{"/bin/hi": "../usr/local/bin/hello"},
		Folders:    []string{"/tmp"},
		Entrypoint: []string{"/usr/local/bin/hello"},
		User:       "1337:1337",
	}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestBuildPushPull(t *testing.T) {
	blobs := t.TempDir()
	server := httptest.NewServer(registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if err := Push(t.Context(), address, "docker.io/imroc/hello:v2", sample(t)); err != nil {
		t.Fatal(err)
	}
	reference, err := Reference(address, "imroc/hello:v2")
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(reference)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Entrypoint[0] != "/usr/local/bin/hello" || config.Config.User != "1337:1337" || config.Architecture != "amd64" {
		t.Errorf("config: %+v", config)
	}
	layers, err := pulled.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	var lines []string
	for archive := tar.NewReader(content); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, entry.FileInfo().Mode().String()+" "+entry.Name+" "+entry.Linkname+string(text))
	}
	want := []string{
		"drwxr-xr-x bin ", "Lrwxrwxrwx bin/hi ../usr/local/bin/hello", "dtrwxrwxrwx tmp ", "drwxr-xr-x usr ",
		"drwxr-xr-x usr/local ", "drwxr-xr-x usr/local/bin ",
		// Other users run it, though only its owner may here.
		"-rwxr-xr-x usr/local/bin/hello #!/bin/hello",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestSameFilesSameDigest(t *testing.T) {
	digest := func(folder string) string {
		index, err := layout.ImageIndexFromPath(folder)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		return manifest.Manifests[0].Digest.String()
	}
	if one, two := digest(sample(t)), digest(sample(t)); one != two {
		t.Errorf("%s and %s", one, two)
	}
}

func TestPlacedBlobsNeedNoUpload(t *testing.T) {
	folder, blobs := sample(t), t.TempDir()
	for range 2 {
		if err := Place(folder, blobs); err != nil {
			t.Fatal(err)
		}
	}
	before, err := filepath.Glob(filepath.Join(blobs, "sha256", "*"))
	if err != nil || len(before) != 3 { // manifest, config, layer
		t.Fatalf("%v, %v", before, err)
	}
	server := httptest.NewServer(registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	if err := Push(t.Context(), strings.TrimPrefix(server.URL, "http://"), "x", folder); err != nil {
		t.Fatal(err)
	}
	if after, _ := filepath.Glob(filepath.Join(blobs, "sha256", "*")); len(after) != len(before) {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestReference(t *testing.T) {
	for image, want := range map[string]string{
		"docker.io/imroc/grpc_server:latest": "127.0.0.1:5000/imroc/grpc_server:latest",
		"imroc/grpc_server":                  "127.0.0.1:5000/imroc/grpc_server:latest",
		"example.org/a/b/c:v1":               "127.0.0.1:5000/a/b/c:v1",
		"alone":                              "127.0.0.1:5000/library/alone:latest",
	} {
		got, err := Reference("127.0.0.1:5000", image)
		if err != nil || got.Name() != want {
			t.Errorf("%s: %v, %v; want %s", image, got, err, want)
		}
	}
	for _, image := range []string{"", "UPPER/case", "x@sha256:" + strings.Repeat("0", 64)} {
		if got, err := Reference("127.0.0.1:5000", image); err == nil {
			t.Errorf("%q became %v", image, got)
		}
	}
}
