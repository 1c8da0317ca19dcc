package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// followTime is how long the controller of a gateway that follows the Gateways
// is given to open a port: a cloud's load balancer takes seconds to.
const followTime = time.Minute

// choosePort picks the gateway's port. One that was asked for and is not open
// yet will do where a controller opens what Gateways ask for: then the Gateway
// is made first, and the gateway's Service is never written to.
func (x *exposer) choosePort(ctx context.Context) (err error) {
	asked := x.intent.GatewayPort
	x.open, err = istio.ChoosePort(x.ingress, asked, x.exposure.Port)
	var refused *k8s.NotReadyError
	if !errors.As(err, &refused) {
		return err
	}
	routes, err := x.mesh.Routes(ctx)
	if err != nil {
		return err
	}
	x.open, x.follower, err = routes.FollowedPort(x.ingress, asked, x.exposure.Port, refused)
	return err
}

// awaitPort waits until the gateway's Service opens the port that the Gateway
// asks for, and looks anew at how it is reached.
func (x *exposer) awaitPort(ctx context.Context) error {
	if x.follower == "" {
		return nil
	}
	x.o.say("waiting    %s is to open port %d, as Gateway %s/grpc asks", x.ingress, x.open.Port, x.exposure.Namespace)
	begun := time.Now()
	within, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	err := wait.PollUntilContextCancel(within, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		in, err := x.mesh.Again(ctx, x.ingress)
		if x.exposure.TLS.On() {
			in = istio.Securing([]istio.Ingress{in})[0]
		}
		if p, ok := in.Port(x.open.Port); ok {
			x.ingress, x.open = in, p
			return true, err
		}
		return false, err
	})
	switch {
	case err != nil && errors.Is(within.Err(), context.DeadlineExceeded):
		return &k8s.NotReadyError{Subject: "gateway " + x.ingress.String(),
			Cause: fmt.Sprintf("its Service still does not open port %d, %s after a Gateway asked for it; %s was expected to open it", x.open.Port, time.Since(begun).Round(time.Second), x.follower),
			Hint: "Everything was written. Open the port where the Service is kept, and run the same command again; or take the exposure back: " +
				x.o.called.grpcmesh("unexpose", x.exposure.WorkloadName, "-n", x.exposure.Namespace)}
	case err != nil:
		return err
	}
	if why := x.open.CannotServe(); why != "" {
		return &k8s.NotReadyError{Subject: "gateway " + x.ingress.String(), Cause: why, Hint: "Everything was written, and calls can't come through there."}
	}
	if x.node, err = x.mesh.NodeAddress(ctx, x.ingress, x.open); err != nil {
		return err
	}
	now := x.document(x.o.dryRun)
	x.doc.Gateway, x.doc.Addresses, x.doc.Forward, x.doc.Verify = now.Gateway, now.Addresses, now.Forward, now.Verify
	x.follower = ""
	return nil
}
