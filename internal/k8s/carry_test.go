package k8s_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// book is an Applier that only keeps account of what it is asked.
type book struct {
	asked  []string
	fails  string // the name of the object whose write fails
	cancel func()
}

func (b *book) Get(context.Context, manifest.ID) (*plan.State, error) { return nil, nil } //nolint:nilnil // absent is an answer here

func (b *book) Apply(_ context.Context, obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error) {
	line := obj.String() + "@" + resourceVersion + " by " + opts.FieldManager
	if len(opts.DryRun) > 0 {
		line += " dry"
	}
	if opts.Force {
		line += " by force"
	}
	b.asked = append(b.asked, line)
	if b.cancel != nil {
		b.cancel()
	}
	if obj.Name == b.fails {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "services"}, obj.Name, errors.New("modified"))
	}
	return &plan.State{}, nil
}

func (b *book) Delete(_ context.Context, id manifest.ID, opts metav1.DeleteOptions) error {
	b.asked = append(b.asked, "delete "+id.String()+"@"+*opts.Preconditions.ResourceVersion+" "+string(*opts.Preconditions.UID))
	if id.Name == b.fails {
		return apierrors.NewConflict(schema.GroupResource{Resource: "services"}, id.Name, errors.New("precondition"))
	}
	return nil
}

func change(action plan.Action, name string) plan.Change {
	id := manifest.ID{Kind: "Service", Namespace: "test", Name: name}
	return plan.Change{ID: id, Action: action, Object: manifest.Object{ID: id}, ResourceVersion: "v-" + name, UID: "u-" + name}
}

// TestCarry: only creations, updates and deletions are written, in order, each with the
// version that it was planned from, without force; and nothing after a failure
// or after the run has ended.
func TestCarry(t *testing.T) {
	p := plan.Plan{Changes: []plan.Change{change(plan.Unchanged, "a"), change(plan.Create, "b"), change(plan.Reuse, "c"), change(plan.Update, "d"), change(plan.Restart, "e"), change(plan.Update, "f"), change(plan.Delete, "g"), change(plan.Keep, "h")}}
	write := func(name string) string {
		version := "v-" + name
		if name == "b" {
			version = "1" // what is to be created has none; this one is no object's
		}
		return "Service/" + name + "@" + version + " by grpcmesh"
	}
	for _, tc := range []struct {
		name        string
		book        *book
		stop        bool // the run ends with the first write
		asked, done string
		err         func(error) bool
	}{
		{"all", &book{}, false, write("b") + "," + write("d") + "," + write("f") + ",delete Service/g@v-g u-g", "a b c d e f g h", func(err error) bool { return err == nil }},
		{"one can't be deleted", &book{fails: "g"}, false, write("b") + "," + write("d") + "," + write("f") + ",delete Service/g@v-g u-g", "a b c d e f", func(err error) bool { return errors.As(err, new(*plan.ConflictError)) }},
		{"one fails", &book{fails: "d"}, false, write("b") + "," + write("d"), "a b c", func(err error) bool { return errors.As(err, new(*plan.ConflictError)) }},
		{"the run ends", &book{}, true, write("b"), "a b", func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if tc.stop {
			tc.book.cancel = cancel
		}
		var done []string
		err := k8s.Carry(ctx, k8s.Appliers{"Service": tc.book}, p, func(c plan.Change) { done = append(done, c.ID.Name) })
		cancel()
		if !tc.err(err) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := strings.Join(tc.book.asked, ","); got != tc.asked {
			t.Errorf("%s: written %s, want %s", tc.name, got, tc.asked)
		}
		if got := strings.Join(done, " "); got != tc.done {
			t.Errorf("%s: told of %s, want %s", tc.name, got, tc.done)
		}
	}
}
