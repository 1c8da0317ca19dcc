package cmd

import (
	"slices"
	"strings"
	"sync"
)

// Lent is what a run has added for its own time only, each as the words by
// which to take it away by hand: for who ends the run before it could. A nil
// one notes nothing.
type Lent struct {
	mu    sync.Mutex
	words []string
}

// Add notes one, before it is made.
func (l *Lent) Add(words string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.words = append(l.words, words)
}

// Returned strikes out one that is gone again.
func (l *Lent) Returned(words string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.words = slices.DeleteFunc(l.words, func(w string) bool { return w == words })
}

// String is all that is out, a line each, or "".
func (l *Lent) String() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.words, "\n")
}
