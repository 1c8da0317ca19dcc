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
// error whoever asks. Beyond that nothing can be told without a cluster.
func (o *verifyOptions) withoutCluster(ctx context.Context, why error) error {
	conn, err := o.open(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	o.say("no cluster %s", why)
	evidence := check.Evidence{Rung: check.RungRoute, Alpha: o.alpha, Real: o.user.on(), Where: check.Where{Address: o.addr}, TLS: secured(conn),
		WitnessWhy: "there is no cluster to ask which methods the app has"}
	call := probe.Call{Path: noPath, Metadata: o.metadata}
	if o.path != "" {
		if o.user.on() && o.user.payload == nil {
			service, _, _ := strings.Cut(o.path[1:], "/")
			set, err := conn.Files(ctx, service, "", o.metadata)
			if err != nil {
				return fmt.Errorf("how messages of %s are encoded can't be found out: %w\nGive its descriptors with --proto FILE or --protoset FILE", o.user.method, err)
			}
			if err := o.encodeBy(set); err != nil {
				return err
			}
		}
		call = o.pathCall()
	}
	// That a gateway has no route for a method which nobody has says nothing.
	if s := plainCall(ctx, conn, call); o.path != "" || s.Upstream || s.Code != codes.Unimplemented {
		evidence.Witness, evidence.WitnessWhy = []probe.Sample{s}, ""
	}
	r := &run{o: o}
	if o.load.asked {
		r.noLoad(&evidence, "there is no cluster to add a probe route to")
	}
	return o.judge(&report.Verify{APIVersion: report.APIVersion, Kind: "VerifyReport", Address: o.addr, Authority: o.dialAuthority(),
		Target: "an address, with no cluster to ask what is behind it", Load: r.loaded}, evidence)
}
