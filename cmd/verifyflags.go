package cmd

import (
	"cmp"
	"errors"
	"net"
	"strconv"

	"grpcmesh/internal/manifest"
)

func (o *verifyOptions) validate() error {
	invalid := func(field, value, reason string) error {
		return &manifest.InvalidError{Field: field, Value: value, Reason: reason}
	}
	if o.addr != "" || !o.several() {
		if err := o.validAddr(); err != nil {
			return err
		}
	}
	if o.authority != "" {
		host, port, err := net.SplitHostPort(o.authority)
		if err != nil {
			host, port = o.authority, "1"
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || !manifest.ValidName(host) {
			return invalid("--authority", o.authority, "is neither HOST nor HOST:PORT")
		}
	}
	if err := cmp.Or(chosen("--identify", o.identify, identities()), chosen("--control", o.controls, controls())); err != nil {
		return err
	}
	if o.readOnly && o.identify == "route" {
		return invalid("--identify", o.identify, "adds a VirtualService for the time of the check, which --read-only forbids")
	}
	if err := o.validOutput(); err != nil {
		return err
	}
	if err := o.tls.validate(); err != nil {
		return err
	}
	if o.requests < 0 {
		return invalid("--requests", strconv.Itoa(o.requests), "can't be negative")
	}
	if o.timeout <= 0 {
		return invalid("--timeout", o.timeout.String(), "must be more than 0")
	}
	if o.path != "" && !methodPath.MatchString(o.path) {
		return invalid("--path", o.path, "is not /PKG.SERVICE/METHOD")
	}
	if err := o.user.validate(o); err != nil {
		return err
	}
	if err := o.backend.validate(o); err != nil {
		return err
	}
	var err error
	if o.metadata, err = parseMetadata(o.metadataGiven); err != nil {
		return err
	}
	return o.validLoad()
}

func (o *verifyOptions) validAddr() error {
	if o.addr == "" {
		return usageError{errors.New("--addr is missing: the gateway's address as HOST:PORT; or --all, or -f FILE")}
	}
	host, port, err := net.SplitHostPort(o.addr)
	if err != nil || host == "" {
		return &manifest.InvalidError{Field: "--addr", Value: o.addr, Reason: "is not HOST:PORT"}
	}
	o.host = host
	if o.port, err = strconv.Atoi(port); err != nil || o.port < 1 || o.port > 65535 {
		return &manifest.InvalidError{Field: "--addr", Value: o.addr, Reason: "a port is a number from 1 to 65535"}
	}
	return nil
}
