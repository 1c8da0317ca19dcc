package message

import (
	"context"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Compile reads a .proto file and all that it imports: from its folder and
// those above it; protobuf's own files are at hand. What is wrong with them is a *DescriptorError that says where.
func Compile(ctx context.Context, file string) (*descriptorpb.FileDescriptorSet, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	folders := []string{}
	for dir := filepath.Dir(filepath.Clean(file)); ; dir = filepath.Dir(dir) {
		folders = append(folders, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	// By its name from the topmost folder it is found whatever folder comes first.
	name, err := filepath.Rel(folders[len(folders)-1], filepath.Clean(file))
	if err != nil {
		return nil, &DescriptorError{err}
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: folders})}
	files, err := compiler.Compile(ctx, filepath.ToSlash(name))
	if err != nil {
		return nil, &DescriptorError{err}
	}
	set, have := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if have[f.Path()] {
			return
		}
		have[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range files {
		add(f)
	}
	return set, nil
}
