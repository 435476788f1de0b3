#!/bin/sh
# Sets up what qie needs on this machine. Everything lies in .qie/ of this folder and in the data folder.
# It only finds and fetches tools; the rest is the program's own `qie setup`. Every step can be killed and run again.
#
#   ./setup.sh          set up
#   ./setup.sh --test   set up what the tests need, and run them all
set -eu

say() { printf '%s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
# done_step NAME KEY: true when the step was finished for the same inputs.
done_step() { [ -f ".qie/stamps/$1" ] && [ "$(cat ".qie/stamps/$1")" = "$2" ]; }
mark() { mkdir -p .qie/stamps && printf '%s' "$2" >".qie/stamps/$1.part" && mv ".qie/stamps/$1.part" ".qie/stamps/$1"; }
hash_of() { cat "$@" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

find_python() {
	for candidate in python3 python3.13 python3.12 python3.11; do
		command -v "$candidate" >/dev/null 2>&1 || continue
		"$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' && python=$candidate && return
	done
	die "Python 3.9 or newer is needed and was not found on PATH"
}

# tool NAME: install the pinned wheel of cmd/qie/tools/NAME.lock, by hash, into .qie/tools.
tool() {
	key=$(hash_of "cmd/qie/tools/$1.lock")
	done_step "tool-$1" "$key" && return
	say "fetching $1"
	[ -x .qie/tools/bin/python ] || "$python" -m venv .qie/tools ||
		die "python cannot make a virtual environment; on Debian: apt-get install python3-venv"
	.qie/tools/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "cmd/qie/tools/$1.lock" \
		>>.qie/setup.log 2>&1 || die "cannot fetch $1; .qie/setup.log has the details"
	mark "tool-$1" "$key"
}

test_python() {
	key=$(hash_of pyruntime/requirements-dev.lock)
	QIE_PYTHON_ENV=$PWD/.qie/test-env/$(printf %.12s "$key")
	export QIE_PYTHON_ENV
	done_step test-env "$key" && [ -x "$QIE_PYTHON_ENV/bin/python" ] && return
	tool uv
	say "building the Python environment of the tests (5.4 GB with CUDA torch)"
	rm -rf .qie/test-env
	.qie/tools/bin/uv venv -q -p '>=3.11,<3.14' "$QIE_PYTHON_ENV"
	.qie/tools/bin/uv pip sync -q --require-hashes -p "$QIE_PYTHON_ENV/bin/python" pyruntime/requirements-dev.lock
	for site in "$QIE_PYTHON_ENV"/lib/python3.*/site-packages; do
		printf '%s\n' "$PWD/pyruntime/src" >"$site/pyruntime.pth"
	done
	mark test-env "$key"
}

run_tests() {
	test_python
	say "go vet and go test"
	go vet ./...
	CGO_ENABLED=0 go test ./...
	say "ruff and pytest"
	"$QIE_PYTHON_ENV/bin/ruff" check -q pyruntime/src pyruntime/tests
	"$QIE_PYTHON_ENV/bin/python" -m pytest -q pyruntime/tests -c pyruntime/pyproject.toml --rootdir pyruntime
}

main() {
	cd "$(dirname "$0")"
	mkdir -p .qie
	find_python
	command -v go >/dev/null 2>&1 || { tool go && PATH=$PWD/.qie/tools/bin:$PATH; }
	case "${1-}" in
	--test) run_tests ;;
	*) die "only ./setup.sh --test works so far" ;;
	esac
}

main "$@"
