package cmd

import "fmt"

// say prints a word on what is being found out or waited for. What is found of
// several at once is held back until it is this one's turn.
func (x *exposer) say(format string, args ...any) {
	if x.silent {
		x.held = append(x.held, fmt.Sprintf(format, args...))
		return
	}
	x.o.say(format, args...)
}

// speak says what was held back.
func (x *exposer) speak() {
	x.silent = false
	for _, words := range x.held {
		x.o.say("%s", words)
	}
	x.held = nil
}
