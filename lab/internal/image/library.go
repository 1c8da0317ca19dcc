package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// AddLibraries adds to files the loader and every shared library that the
// programs and libraries among them need, at the paths they have here.
func AddLibraries(files map[string]string) error {
	var todo []string
	for _, source := range files {
		todo = append(todo, source)
	}
	for len(todo) > 0 {
		source := todo[0]
		todo = todo[1:]
		wanted, err := needed(source)
		if err != nil {
			return err
		}
		for _, path := range wanted {
			if _, ok := files[path]; !ok {
				files[path] = path
				todo = append(todo, path)
			}
		}
	}
	return nil
}

// needed lists the files that the program or library at path asks for; none
// where it is not an ELF file.
func needed(path string) ([]string, error) {
	file, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the libraries of %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	names, err := file.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("the libraries of %s: %w", path, err)
	}
	var paths []string
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			text := make([]byte, program.Filesz)
			if _, err := program.ReadAt(text, 0); err != nil {
				return nil, fmt.Errorf("the loader of %s: %w", path, err)
			}
			paths = append(paths, strings.TrimRight(string(text), "\x00"))
		}
	}
	for _, name := range names {
		found, err := findLibrary(name, file.Machine)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		paths = append(paths, found)
	}
	return paths, nil
}

func findLibrary(name string, machine elf.Machine) (string, error) {
	for _, pattern := range []string{"/lib/*-linux-gnu", "/usr/lib/*-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		matches, err := filepath.Glob(filepath.Join(pattern, name))
		if err != nil {
			return "", err
		}
		for _, match := range matches {
			// A machine may hold libraries of other processors too.
			if file, err := elf.Open(match); err == nil {
				same := file.Machine == machine
				_ = file.Close()
				if same {
					return match, nil
				}
			}
		}
	}
	return "", fmt.Errorf("shared library %s is not on this machine; install the package that holds it", name)
}

// Iptables lists what a container needs to run iptables: the program with its
// names, and its plug-ins.
func Iptables() (files, links map[string]string, err error) {
	const program = "/usr/sbin/xtables-nft-multi"
	if _, err := os.Stat(program); err != nil {
		return nil, nil, fmt.Errorf("iptables: %w; install the package iptables", err)
	}
	plugins, err := filepath.Glob("/usr/lib/*-linux-gnu/xtables/*.so")
	if err != nil {
		return nil, nil, err
	}
	if len(plugins) == 0 {
		return nil, nil, errors.New("iptables has no plug-ins under /usr/lib/*-linux-gnu/xtables; install the package iptables again")
	}
	files = map[string]string{program: program}
	for _, plugin := range plugins {
		files[plugin] = plugin
	}
	links = map[string]string{}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore", "-nft", "-nft-save", "-nft-restore"} {
			links["/usr/sbin/"+family+suffix] = "xtables-nft-multi"
		}
	}
	return files, links, nil
}
