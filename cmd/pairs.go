package cmd

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// pairs is a flag's value NAME=VALUE,...; may be given several times. Of a name
// that is given twice neither value can be the one that was meant: an error.
type pairs struct {
	seen map[string]bool
	take func(name, value string) error
}

// Set takes one value of the flag.
func (p *pairs) Set(text string) error {
	fields, err := csv.NewReader(strings.NewReader(text)).Read() // a value may hold a comma, in quotes
	if err != nil {
		return fmt.Errorf("%q is not NAME=VALUE,...: %w", text, err)
	}
	for _, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q is not NAME=VALUE", field)
		}
		if p.seen[name] {
			return fmt.Errorf("%s is given twice", name)
		}
		if p.seen == nil {
			p.seen = map[string]bool{}
		}
		p.seen[name] = true
		if err := p.take(name, value); err != nil {
			return err
		}
	}
	return nil
}

// String is the default: nothing.
func (p *pairs) String() string { return "" }

// Type is how help names the value.
func (p *pairs) Type() string { return "name=value,..." }

// texts are pairs of any value.
func texts(into *map[string]string) *pairs {
	return &pairs{take: func(name, value string) error {
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[name] = value
		return nil
	}}
}

// percents are pairs of a name and a percentage.
func percents(into *map[string]int) *pairs {
	return &pairs{take: func(name, value string) error {
		n, err := strconv.Atoi(strings.TrimSuffix(value, "%"))
		if err != nil {
			return errors.New(name + ": " + strconv.Quote(value) + " is no number of percent")
		}
		if *into == nil {
			*into = map[string]int{}
		}
		(*into)[name] = n
		return nil
	}}
}
