#!/usr/bin/env bash
# test.sh - the phases of `make test`, each with its times; the closing lines of every go test stand at the end.
# With arguments only those phases run behind install and build: test.sh lint unit.
# A phase that fails does not keep the later ones from running, unless nothing can be run without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

LOGS=$(mktemp -d) TIMES=() FAILED=()
trap 'rm -rf "$LOGS"' EXIT

# Real lain.yaml files with what LAIN's own parser made of them are no part of the project: where they lie beside
# the clone, the reader of lain.yaml is compared with it.
CORPUS=$PWD/../shared/lainyaml-corpus
if [ -z "${LAIN_CORPUS:-}" ] && [ -d "$CORPUS" ]; then export LAIN_CORPUS=$CORPUS; fi

clock() { date +%H:%M:%S; }

# phase NAME COMMAND...: runs it with its output on the terminal and in a log of its name. (Functions run here
# have no `set -e`, as everywhere left of a ||.)
phase() {
  local name=$1 began=$SECONDS code=0; shift
  echo; echo "=== $name: started $(clock)"
  if "$@" 2>&1 | tee "$LOGS/$name"; then :; else code=${PIPESTATUS[0]}; fi
  [ "$code" = 0 ] || FAILED+=("$name")
  TIMES+=("$(printf '%-12s %4d s  %s' "$name" "$((SECONDS - began))" "$([ "$code" = 0 ] && echo ok || echo FAILED)")")
  echo "=== $name: ended $(clock) after $((SECONDS - began)) s, $([ "$code" = 0 ] && echo ok || echo "FAILED with $code")"
  return "$code"
}

# The tests of the second back end run a buildkitd, the stories that kill laind at each of its writes need one that can be killed there, and those that push the examples
# take their modules from this machine's cache.
build() {
  make --no-print-directory build && tools/setup/modules.sh build buildkitd &&
    go build -tags failpoint -o bin/laind-failpoint ./cmd/laind && examples go mod download
}

# examples COMMAND...: runs it in each example that is a module of its own.
examples() {
  local mod
  for mod in examples/*/go.mod; do (cd "${mod%/*}" && "$@") || return 1; done
}

sweep() { bin/inlab -sweep; }

# Packages with tests that need an engine are run once, whole, in the phase that has one.
engine_packages() { git ls-files -co --exclude-standard '*_test.go' | xargs -r grep -l '^//go:build engine' | xargs -rn1 dirname | sort -u | sed 's|^|./|'; }

unit_packages() {
  local module; module=$(go list -m)
  go list ./... | sed "s|^$module|.|" | grep -vxFf <(engine_packages; echo "./none")
}

unit() {
  local packages code=0
  mapfile -t packages < <(unit_packages)
  [ -n "${LAIN_CORPUS:-}" ] || echo "LAIN_CORPUS is not set: lain.yaml is not compared with LAIN's own parser"
  go test -race -timeout 20m "${packages[@]}" || code=1
  examples go test ./... || code=1
  tools/setup/modules.sh test || code=1
  return "$code"
}

# Each lab has one package at a time. The rollout's tests take as long as all the others, and wait for containers: they have a lab of
# their own beside them.
engine() {
  local packages rollout=./runtime/rollout first code=0
  mapfile -t packages < <(engine_packages | grep -vxF "$rollout")
  in_lab "$rollout" & first=$!
  in_lab "${packages[@]}" || code=1
  wait "$first" || code=1
  return "$code"
}

in_lab() { bin/inlab -- go test -race -tags engine -timeout 30m -p 1 "$@"; }

# Each target of a package that compiles quickly for some seconds; `make fuzz` has all of them, and longer.
fuzz() { FUZZTIME=${FUZZTIME:-3s} tools/setup/fuzz.sh light; }

# Stories wait for containers: two at a time keep two cores busy.
acceptance() { LAIN_BIN=$PWD/bin go test -tags acceptance -timeout 64m -parallel 2 ./acceptance/...; }

summary() {
  echo; echo "=== phases"
  printf '%s\n' "${TIMES[@]}"
  echo; echo "=== closing lines"
  local log
  for log in unit engine acceptance; do
    [ ! -e "$LOGS/$log" ] || grep -hE '^(ok|FAIL|panic:|--- FAIL)' "$LOGS/$log" || true
  done
  [ "${#FAILED[@]}" = 0 ] || { echo "FAILED: ${FAILED[*]}"; exit 1; }
}

lint() { tools/setup/lint.sh; }

main() {
  local name
  { phase install tools/setup/install.sh test && phase build build; } || { summary; exit 1; }
  [ $# -gt 0 ] || set -- sweep lint unit fuzz engine acceptance
  for name; do
    case $name in
      sweep | lint | unit | fuzz | engine | acceptance) phase "$name" "$name" || true ;;
      *) echo "test.sh: there is no phase $name: sweep lint unit fuzz engine acceptance" >&2; exit 2 ;;
    esac
  done
  summary
}

main "$@"
