// Command verify measures the load engine of `grpcmesh verify` beside other
// load makers, on one server, and writes verify.md. `make bench-verify` runs it.
//
//	verify [flags]          run all and write the report
//	verify serve FLAGS      the server
//	verify engine FLAGS     one load by the engine
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serve(ctx, args[1:])
		case "engine":
			return engine(ctx, args[1:])
		}
	}
	fs := flag.NewFlagSet("verify", flag.ExitOnError)
	b := &bench{}
	fs.StringVar(&b.ghzPath, "ghz", "ghz", "program to run for ghz")
	fs.StringVar(&b.fortioPath, "fortio", "fortio", "program to run for fortio")
	fs.StringVar(&b.out, "out", "bench/verify.md", "file to write")
	fs.IntVar(&b.rounds, "rounds", 7, "rounds of each comparison, of A-B-B-A each")
	fs.Float64Var(&b.scale, "scale", 1, "calls of a run, as a multiple of the usual")
	fs.StringVar(&b.only, "only", "", "only the comparisons whose name contains this")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return b.run(ctx)
}
