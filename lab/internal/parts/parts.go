// Package parts gets the programs that a lab is made of: it compiles Go
// modules and downloads what is not Go, once for each version, into the cache.
package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"
)

// Part is a set of programs that come from one module.
type Part struct {
	Name     string
	Source   string   // folder of the go.mod that pins the versions
	Packages []string // what to compile; each program is named by its last element
	Tags     string
	Stamps   []string // NAME=VALUE of string variables that hold the version
	Files    []File   // what else to take from the modules
	Inputs   []string // files and folders that decide what comes out; default: Source
}

// File is a file of a module that is wanted beside the programs.
type File struct {
	Module, Path string
}

// Store is the cache of built parts.
type Store struct {
	Folder   string
	Progress io.Writer // a line for each part that had to be made
	seen     map[string]string
}

// NewStore returns the store that keeps its parts in folder.
func NewStore(folder string, progress io.Writer) *Store {
	return &Store{Folder: folder, Progress: progress, seen: map[string]string{}}
}

// Build makes sure that the part's programs are in the cache and returns
// their folder. What is there already is neither compiled nor looked into.
func (s *Store) Build(ctx context.Context, part Part) (string, error) {
	key, err := part.key()
	if err != nil {
		return "", fmt.Errorf("part %s: %w", part.Name, err)
	}
	return s.make(part.Name, key, func(folder string) error { return part.compile(ctx, folder) })
}

// make returns the folder NAME-KEY, calling fill on a folder beside it and
// renaming that one only when it is complete.
func (s *Store) make(name, key string, fill func(folder string) error) (string, error) {
	target := filepath.Join(s.Folder, name+"-"+key)
	s.seen[name] = key
	if _, err := os.Stat(target); err == nil {
		now := time.Now() // for Expire
		return target, os.Chtimes(target, now, now)
	}
	began := time.Now()
	_, _ = fmt.Fprintf(s.Progress, "lab: making %s, once for this version\n", name)
	if err := os.MkdirAll(s.Folder, 0o755); err != nil {
		return "", fmt.Errorf("part %s: %w", name, err)
	}
	half, err := os.MkdirTemp(s.Folder, ".half-"+name+"-")
	if err != nil {
		return "", fmt.Errorf("part %s: %w", name, err)
	}
	defer func() { _ = os.RemoveAll(half) }() // gone already where all went well
	if err := fill(half); err != nil {
		return "", fmt.Errorf("part %s: %w", name, err)
	}
	// Containers run as other users and read these files from images.
	if err := os.Chmod(half, 0o755); err != nil {
		return "", fmt.Errorf("part %s: %w", name, err)
	}
	if err := os.Rename(half, target); err != nil {
		return "", fmt.Errorf("part %s: %w", name, err)
	}
	_, _ = fmt.Fprintf(s.Progress, "lab: made %s in %s\n", name, time.Since(began).Round(time.Second))
	return target, nil
}

// Key names the versions of all the parts asked for so far.
func (s *Store) Key() string {
	var lines []string
	for name, key := range s.seen {
		lines = append(lines, name+" "+key)
	}
	sort.Strings(lines)
	return digest(lines...)
}

// Image is Build for an image: fill makes its layout in a folder that is
// empty, once for each key.
func (s *Store) Image(name string, inputs []string, fill func(folder string) error) (string, error) {
	return s.make("image-"+name, digest(inputs...), fill)
}

// Sweep removes what builds that were cut short have left. Only the holder of
// the lab's lock may call it.
func (s *Store) Sweep() error {
	halves, err := filepath.Glob(filepath.Join(s.Folder, ".half-*"))
	if err != nil {
		return err
	}
	for _, half := range halves {
		if err := os.RemoveAll(half); err != nil {
			return err
		}
	}
	return nil
}

// Expire removes parts that no lab/up has asked for during age: those of older
// versions. Only the holder of the lab's lock may call it, after it has asked
// for its own.
func (s *Store) Expire(age time.Duration) error {
	entries, err := os.ReadDir(s.Folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if time.Since(info.ModTime()) > age {
			if err := os.RemoveAll(filepath.Join(s.Folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p Part) flags() []string {
	flags := []string{"-trimpath"}
	if p.Tags != "" {
		flags = append(flags, "-tags", p.Tags)
	}
	link := "-s -w"
	for _, stamp := range p.Stamps {
		link += " -X " + stamp
	}
	return append(flags, "-ldflags", link)
}

func (p Part) key() (string, error) {
	words := append(p.flags(), runtime.Version(), runtime.GOARCH)
	words = append(words, p.Packages...)
	for _, file := range p.Files {
		words = append(words, file.Module, file.Path)
	}
	inputs := p.Inputs
	if len(inputs) == 0 {
		inputs = []string{p.Source}
	}
	for _, input := range inputs {
		sum, err := digestFiles(input)
		if err != nil {
			return "", err
		}
		words = append(words, sum)
	}
	return digest(words...), nil
}

func (p Part) compile(ctx context.Context, folder string) error {
	// The slash at the end makes go name each program itself.
	arguments := append([]string{"build", "-o", folder + "/"}, p.flags()...)
	command := exec.CommandContext(ctx, "go", append(arguments, p.Packages...)...)
	command.Dir = p.Source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", p.Source, err, strings.TrimSpace(string(output)))
	}
	for _, file := range p.Files {
		if err := p.take(ctx, file, folder); err != nil {
			return err
		}
	}
	return nil
}

// take copies a module's file into folder. The module was fetched to compile
// from, so its folder is there.
func (p Part) take(ctx context.Context, file File, folder string) error {
	command := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", file.Module)
	command.Dir = p.Source
	command.Env = append(os.Environ(), "GOWORK=off")
	output, err := command.Output()
	if err != nil {
		return fmt.Errorf("go list -m %s in %s: %w", file.Module, p.Source, err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(output)), filepath.FromSlash(file.Path)))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, filepath.Base(file.Path)), data, 0o644)
}

func digest(words ...string) string {
	sum := sha256.New()
	for _, word := range words {
		_, _ = fmt.Fprintf(sum, "%d:%s\n", len(word), word) // a hash never fails
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// digestFiles is a digest over a file, or the names and contents of all files
// below a folder.
func digestFiles(root string) (string, error) {
	var words []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		words = append(words, name, string(data))
		return err
	})
	return digest(words...), err
}
