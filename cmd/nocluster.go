package cmd

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/report"
)

// withoutCluster dials all the same: an address that can't be dialled is an
// error whoever asks. Beyond that nothing can be told without a cluster, unless
// the app says which backend answers.
func (o *verifyOptions) withoutCluster(ctx context.Context, why string) error {
	r := &run{o: o}
	defer r.close()
	if err := r.dial(ctx); err != nil {
		return err
	}
	o.say("no cluster %s", why)
	if err := r.describeAlone(ctx); err != nil {
		return err
	}
	doc := &report.Verify{APIVersion: report.APIVersion, Kind: "VerifyReport", Address: o.addr, Authority: o.dialAuthority(),
		Target: "an address, with no cluster to ask what is behind it"}
	e := check.Evidence{Rung: check.RungRoute, Streams: o.user.stream != nil, Alpha: o.alpha, Limit: o.limit(), Real: o.user.on(), Where: check.Where{Address: o.addr}, Command: o.command(), TLS: secured(r.conn)}
	if o.load.asked {
		r.noLoad(&e, "there is no cluster to add a probe route to")
	}
	doc.Load = r.loaded
	if o.backend.on() {
		e.Rung, e.NoCluster, e.Expect = check.RungApp, true, o.backend.expect
		o.say("by         what the app says of itself, in %s", o.backend.words())
		r.line = newProgress(o, nil)
		if err := r.named(ctx, &e); err != nil {
			return err
		}
		doc.Identified = e.Rung
		return o.judge(doc, e)
	}
	e.Unasked = why
	e.WitnessWhy = "there is no cluster to ask which methods the app has"
	call := probe.Call{Path: noPath, Metadata: o.metadata}
	if o.path != "" {
		call = o.pathCall()
	}
	// That a gateway has no route for a method which nobody has says nothing.
	if s := plainCall(ctx, r.conn, call); o.path != "" || s.Upstream || s.Code != codes.Unimplemented {
		e.Witness, e.WitnessWhy = []probe.Sample{s}, ""
	}
	return o.judge(doc, e)
}

// needsCluster is the flag that asks for what only a cluster can do, or "".
func (o *verifyOptions) needsCluster() string {
	switch {
	case o.load.duringRollout:
		return "--during-rollout"
	case o.identify != "auto" && o.identify != check.RungApp:
		return "--identify=" + o.identify
	}
	return ""
}

// describeAlone has the app describe the user's method.
func (r *run) describeAlone(ctx context.Context) error {
	u := &r.o.user
	if !u.on() || u.messages != nil {
		return nil
	}
	service, _, _ := strings.Cut(r.o.path[1:], "/")
	set, err := r.conn.Files(ctx, service, "", r.o.metadata)
	if err != nil {
		return fmt.Errorf("how messages of %s are encoded can't be found out: %w\nGive its descriptors with --proto FILE or --protoset FILE", u.method, err)
	}
	return r.o.encodeBy(set)
}
