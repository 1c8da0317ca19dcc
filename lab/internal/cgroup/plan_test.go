package cgroup

import (
	"strings"
	"testing"
)

const version1 = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:31 / /mnt/cpuset\040again rw,relatime - cgroup cgroup rw,cpuset
`

const version2 = `25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw
35 25 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
`

func TestReadPlan(t *testing.T) {
	cases := []struct {
		name, mountinfo string
		folders         []string
		cpuset          string
		version2        bool
	}{
		{"version 1 beside an empty unified one", version1, []string{
			"/sys/fs/cgroup/cpu/grpcmesh-lab", "/sys/fs/cgroup/cpuset/grpcmesh-lab",
			"/sys/fs/cgroup/systemd/grpcmesh-lab", "/sys/fs/cgroup/unified/grpcmesh-lab",
		}, "/sys/fs/cgroup/cpuset", false},
		{"version 2", version2, []string{"/sys/fs/cgroup/grpcmesh-lab"}, "", true},
		{"part of a hierarchy, as containers see it", "32 31 0:29 /docker/1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n", nil, "", false},
		{"nothing", "", nil, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			plan, err := ReadPlan(strings.NewReader(c.mountinfo))
			if err != nil {
				t.Fatal(err)
			}
			var folders []string
			cpuset := ""
			for _, h := range plan.Hierarchies {
				folders = append(folders, h.Folder())
				if h.CPUSet {
					cpuset = h.Mount
				}
			}
			if got, want := strings.Join(folders, " "), strings.Join(c.folders, " "); got != want {
				t.Errorf("folders %q, want %q", got, want)
			}
			if cpuset != c.cpuset || plan.Version2() != c.version2 {
				t.Errorf("cpuset %q, version 2 %v; want %q, %v", cpuset, plan.Version2(), c.cpuset, c.version2)
			}
		})
	}
}

func TestHandDownNamesOnlyWhatIsThereAndUsed(t *testing.T) {
	if got := HandDown("cpuset cpu io memory hugetlb pids rdma misc\n"); got != "+cpuset +cpu +io +memory +hugetlb +pids" {
		t.Errorf("got %q", got)
	}
	if got := HandDown("memory pids\n"); got != "+memory +pids" {
		t.Errorf("got %q", got)
	}
}
