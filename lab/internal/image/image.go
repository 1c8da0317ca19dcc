// Package image makes container images from files of this machine and brings
// them to the lab's registry. Nothing is compressed: the way is a loopback.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec says what an image holds and starts.
type Spec struct {
	Files      map[string]string // path in the image to the file of this machine with its content and mode
	Links      map[string]string // path in the image to what the symbolic link there says
	Folders    []string          // empty folders that any user may write to
	Entrypoint []string
	Env        []string
	User       string // as in a Dockerfile; empty is root
}

// Build writes the image as an OCI layout of one image into folder, which
// must exist and be empty. The same files give the same digest.
func Build(folder string, spec Spec, architecture string) error {
	content, err := spec.tar()
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(content, types.OCIUncompressedLayer))
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{Entrypoint: spec.Entrypoint, Env: spec.Env, User: spec.User, WorkingDir: "/"}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	target, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("the image in %s: %w", folder, err)
	}
	if err := target.AppendImage(mutate.ConfigMediaType(image, types.OCIConfigJSON)); err != nil {
		return fmt.Errorf("the image in %s: %w", folder, err)
	}
	return nil
}

// tar is the image's one layer: entries sorted, times and owners fixed.
func (s Spec) tar() ([]byte, error) {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, entry := range s.entries() {
		var content []byte
		if source, ok := s.Files[entry.Name]; ok {
			info, err := os.Stat(source)
			if err != nil {
				return nil, fmt.Errorf("for %s of an image: %w", entry.Name, err)
			}
			if content, err = os.ReadFile(source); err != nil {
				return nil, fmt.Errorf("for %s of an image: %w", entry.Name, err)
			}
			entry.Size, entry.Mode = int64(len(content)), mode(info.Mode())
		}
		entry.Name = strings.TrimPrefix(entry.Name, "/")
		if err := writer.WriteHeader(entry); err != nil {
			return nil, fmt.Errorf("%s of an image: %w", entry.Name, err)
		}
		if _, err := writer.Write(content); err != nil {
			return nil, fmt.Errorf("%s of an image: %w", entry.Name, err)
		}
	}
	err := writer.Close()
	return out.Bytes(), err
}

// mode lets every user read, and run what its owner may run: a container's
// user is seldom the file's.
func mode(here os.FileMode) int64 {
	if here&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// entries lists everything in the image, each folder before what is in it.
func (s Spec) entries() []*tar.Header {
	all := map[string]*tar.Header{}
	parents := func(name string) {
		for up := path.Dir(name); up != "/"; up = path.Dir(up) {
			if all[up] == nil {
				all[up] = &tar.Header{Name: up, Typeflag: tar.TypeDir, Mode: 0o755}
			}
		}
	}
	for _, name := range s.Folders {
		parents(name)
		all[name] = &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o1777}
	}
	for name := range s.Files {
		parents(name)
		all[name] = &tar.Header{Name: name, Typeflag: tar.TypeReg}
	}
	for name, to := range s.Links {
		parents(name)
		all[name] = &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	headers := make([]*tar.Header, 0, len(all))
	for _, name := range names {
		headers = append(headers, all[name])
	}
	return headers
}

// Reference turns the name that a Pod would use into the place of the same
// image in the registry at address: the host is dropped, for the lab's
// registry answers for every one, and a missing tag is "latest".
func Reference(address, image string) (name.Reference, error) {
	parsed, err := name.ParseReference(image)
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w; give one such as imroc/grpc_server:latest", image, err)
	}
	tag, ok := parsed.(name.Tag)
	if !ok {
		return nil, fmt.Errorf("image name %q has a digest; push by tag", image)
	}
	return name.ParseReference(address+"/"+tag.RepositoryStr()+":"+tag.TagStr(), name.Insecure)
}

// Push brings the image of the layout in folder to the registry at address
// under the name that a Pod would use. Blobs that are there are not sent.
func Push(ctx context.Context, address, image, folder string) error {
	reference, err := Reference(address, image)
	if err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return fmt.Errorf("the image in %s: %w", folder, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("the image in %s: %w", folder, err)
	}
	if len(manifest.Manifests) != 1 {
		return fmt.Errorf("the image in %s: %d images in place of one; remove that folder and try again", folder, len(manifest.Manifests))
	}
	one, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return fmt.Errorf("the image in %s: %w", folder, err)
	}
	if err := remote.Write(reference, one, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing %s to the lab's registry at %s: %w", image, address, err)
	}
	return nil
}

// Place links a layout's blobs into the registry's own folder, so that
// pushing the image afterwards sends its manifest only.
func Place(folder, blobs string) error {
	target := filepath.Join(blobs, "sha256")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(folder, "blobs", "sha256"))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		err := os.Link(filepath.Join(folder, "blobs", "sha256", entry.Name()), filepath.Join(target, entry.Name()))
		if err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}
