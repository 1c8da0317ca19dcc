// Package streams is the generated code of streams.proto, and a server of it.
package streams

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative streams.proto
