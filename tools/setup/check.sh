#!/usr/bin/env bash
# check.sh - says in one sentence what a person must bring and this machine lacks: Linux, root, Go.
set -euo pipefail

WANT=1.26.8

die() { echo "lain: $*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || die "Lain runs on Linux, this is $(uname -s)"
[ "$(id -u)" = 0 ] || die "root is needed to make networks, containers and namespaces: run make as root"
command -v go >/dev/null || die "Go is missing: install Go $WANT or newer (https://go.dev/dl) and have it in PATH"
have=$(go env GOVERSION 2>/dev/null) || have="too old for this go.mod ($(GOTOOLCHAIN=local go version 2>/dev/null | cut -d' ' -f3))"
have=${have#go}
[ "$(printf '%s\n' "$WANT" "${have%% *}" | sort -V | head -1)" = "$WANT" ] || die "Go is $have: install Go $WANT or newer (https://go.dev/dl)"
