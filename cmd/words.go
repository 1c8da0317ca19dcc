package cmd

// oneOrMore is the words that go with a number of things.
func oneOrMore(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
