package cmd

import (
	"testing"

	"google.golang.org/grpc/codes"
)

// A real call is well if the app says OK; one of a method that it does not have if
// it says what it said before the load.
func TestWell(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		call        string
		code, usual codes.Code
		want        bool
	}{
		{"", codes.Unimplemented, codes.Unimplemented, true}, {"", codes.OK, codes.Unimplemented, true}, {"", codes.Unavailable, codes.Unimplemented, false},
		{"a.B/C", codes.OK, codes.Unimplemented, true}, {"a.B/C", codes.Unimplemented, codes.Unimplemented, false}, {"a.B/C", codes.Internal, codes.OK, false},
	} {
		r := &run{o: &verifyOptions{user: userCall{method: tc.call}}}
		if got := r.well(tc.code, tc.usual); got != tc.want {
			t.Errorf("--call %q, %s where %s is usual: %v", tc.call, tc.code, tc.usual, got)
		}
	}
}
