#!/usr/bin/env bash
# fuzz.sh [light] - every fuzz target for FUZZTIME (60s), one behind the other; with "light" only those of packages that
# compile quickly. A find fails, and lies below the package's testdata/fuzz: it is kept as a seed with its mending.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

FUZZTIME=${FUZZTIME:-60s}
# Go compiles all that a target is linked with once more, to see where it goes: minutes for these.
HEAVY='go.etcd.io/etcd/server|github.com/moby/buildkit|github.com/docker/docker/client|github.com/distribution/distribution'

packages() { git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u | sed 's|^|./|'; }

heavy() { go list -deps -test "$1" | grep -qE "^($HEAVY)"; }

targets() { grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$1"/*_test.go | sed 's/^func //'; }

# one PACKAGE TARGET: Go now and then calls it a failure that the time was over in the middle of a call, and then names
# no input (golang/go#75804). A find is a failure that names one.
one() {
  local said code=0
  said=$(mktemp)
  go test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 5s "$1" 2>&1 | tee "$said" || code=1
  if [ "$code" != 0 ] && grep -qE '^ +context deadline exceeded$' "$said" && ! grep -qE 'Failing input|panic:|^ +[a-z_]+_test\.go:' "$said"; then code=0; fi
  rm -f "$said"
  return "$code"
}

failed=() ran=0 began=$SECONDS
for package in $(packages); do
  if [ "${1:-}" = light ] && heavy "$package"; then echo "left to make fuzz: $package"; continue; fi
  for target in $(targets "$package"); do
    echo "--- $package $target"
    ran=$((ran + 1))
    one "$package" "$target" || failed+=("$package $target")
  done
done
echo "fuzz: $ran targets, $FUZZTIME each, in $((SECONDS - began)) s"
[ "${#failed[@]}" = 0 ] || { printf 'fuzz: FAILED: %s\n' "${failed[@]}"; exit 1; }
