# Sourced by up, down, run and push: builds the lab program once for each
# content of its sources, in the user's cache folder, and becomes it.
lab_exec() {
	if [ "$(uname -s)" != Linux ]; then
		echo "lab: the lab runs on Linux only, not on $(uname -s); use a cluster of your own (see \"Your own cluster\" in lab/README.md)" >&2
		exit 1
	fi
	if [ "$1" != push ] && [ "$(id -u)" != 0 ]; then
		echo "lab: lab/$1 needs root, for it makes namespaces and control groups; run it as root, or use a cluster of your own (see \"Your own cluster\" in lab/README.md)" >&2
		exit 1
	fi
	folder=$(cd "$(dirname "$0")" && pwd -P) || exit 1
	cache=${XDG_CACHE_HOME:-${HOME:?lab: HOME is not set, so there is no cache folder}/.cache}/grpcmesh
	if ! command -v go >/dev/null 2>&1; then
		echo "lab: the go command is not in PATH; install Go (lab/go.mod names the version) and try again" >&2
		exit 1
	fi
	key=$(cd "$folder" && {
		go version
		cat go.mod go.sum $(find . -path ./parts -prune -o -name '*.go' ! -name '*_test.go' -print | LC_ALL=C sort)
	} | sha256sum | cut -c1-16) || exit 1
	program=$cache/program/lab-$key
	if [ ! -x "$program" ]; then
		mkdir -p "$cache/program" || exit 1
		# Named by the process, then moved: two builders never write one file.
		CGO_ENABLED=0 go build -C "$folder" -trimpath -o "$program.$$" . || exit 1
		mv -f "$program.$$" "$program" || exit 1
		# What nobody has built for a week belongs to old sources.
		find "$cache/program" -type f -mtime +7 -delete
	fi
	LAB_FOLDER=$folder exec "$program" "$@"
}
