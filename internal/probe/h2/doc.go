// Package h2 makes one unary gRPC call over and over on one HTTP/2 connection,
// for load: one goroutine a connection, the request encoded once, one write
// for each batch of frames read, and no memory that grows with the calls. It
// speaks frames (RFC 9113) and gRPC as grpc-go does, which it is tested
// against call by call; what is rarer than a load needs, such as streams,
// compression or a second message, is grpc-go's.
//
// What a server sends is untrusted. All of it is bounded here: a frame to
// 16 KiB, a header list and a reply to the limits of Config, a call in time.
package h2
