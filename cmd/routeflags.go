package cmd

import (
	"strconv"

	"github.com/spf13/pflag"

	"grpcmesh/internal/manifest"
)

// routeFlagNames are the flags that say which calls are routed, and how.
func routeFlagNames() []string {
	return []string{"match-service", "match-header", "timeout-per-call", "retries", "per-try-timeout", "lb", "canary"}
}

// routeFlags are the flags that say which calls are routed, and how.
func (o *exposeOptions) routeFlags(fs *pflag.FlagSet) {
	r := &o.intent.Route
	fs.StringVar(&o.intent.MatchService, "match-service", "", "Route only these gRPC services (pkg.Service,...), or 'auto': those that the app lists by reflection.")
	fs.Var(texts(&r.MatchHeaders), "match-header", "Route only calls with this metadata (name=value,...); a value that ends in * is the beginning of one.")
	fs.DurationVar(&r.Timeout, "timeout-per-call", 0, "How long the gateway lets a call take, a stream's too. 0: no limit.")
	fs.Func("retries", "How often the gateway tries a call again that no app has begun, or that was answered UNAVAILABLE; `N` 0 is never. Default: as the mesh has it.", func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil {
			return &manifest.InvalidError{Field: "--retries", Value: text, Reason: "is not a number"}
		}
		r.Retries = &n
		return nil
	})
	fs.DurationVar(&r.PerTryTimeout, "per-try-timeout", 0, "How long one try may take; one that takes longer, or breaks off, is made again. Needs --retries.")
	fs.StringVar(&r.LB, "lb", "", "How the gateway chooses a pod: ROUND_ROBIN, LEAST_REQUEST, RANDOM, or header:NAME (calls with one value of that metadata go to one pod). Default: as the mesh has it.")
	fs.Var(percents(&r.Canary), "canary", "Percent of the calls for pods of another version (version=percent, or label:value=percent), by their label 'version'; the rest goes to the workload's own.")
}
