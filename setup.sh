#!/bin/sh
# Sets up what qie needs. `--test` runs every test.
set -eu

say() { printf '%s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

main() {
	cd "$(dirname "$0")"
	command -v go >/dev/null || die "Go 1.26 or newer is not on PATH"
	case "${1-}" in
	--test) go vet ./... && CGO_ENABLED=0 go test ./... ;;
	*) die "only ./setup.sh --test works so far" ;;
	esac
}

main "$@"
