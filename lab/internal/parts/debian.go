package parts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// need is a package of the distribution and a file that shows it is there.
type need struct {
	pkg   string
	proof string // a command to find in PATH, or an absolute path
}

func needs(ctx context.Context) []need {
	return []need{
		{"runc", "runc"},
		{"containernetworking-plugins", "/usr/lib/cni/ptp"},
		{"iptables", "xtables-nft-multi"},
		{"nftables", "nft"},
		{"iproute2", "ip"},
		{"mount", "mount"},
		{"python3-pip", pipProof(ctx)},
	}
}

// pipProof is python3 where its pip module answers, so that a pip which came
// with another Python than the distribution's counts too.
func pipProof(ctx context.Context) string {
	if exec.CommandContext(ctx, "python3", "-m", "pip", "--version").Run() == nil {
		return "python3"
	}
	return "/python3 without pip"
}

func present(proof string) bool {
	if filepath.IsAbs(proof) {
		_, err := os.Stat(proof)
		return err == nil
	}
	_, err := exec.LookPath(proof)
	return err == nil
}

// Debian installs the distribution's packages that the lab needs and lacks.
// Where there is no apt-get it names what is missing.
func Debian(ctx context.Context, progress io.Writer) error {
	var missing []string
	for _, n := range needs(ctx) {
		if !present(n.proof) {
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err // pip could not answer: that it looks missing says nothing
	}
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing: %s, and there is no apt-get to install them; install them by hand (CNI plug-ins belong in /usr/lib/cni)", list)
	}
	_, _ = fmt.Fprintf(progress, "lab: installing Debian packages: %s\n", list)
	install := func() error {
		return apt(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, missing...)...)
	}
	// The lists may be absent or old; then a refresh is worth its seconds.
	if first := install(); first != nil {
		if err := apt(ctx, "update"); err != nil {
			return errors.Join(first, err)
		}
		return install()
	}
	return nil
}

func apt(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet", "--quiet"}, arguments...)...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
