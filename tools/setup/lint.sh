#!/usr/bin/env bash
# lint.sh - vet and staticcheck over every file, whatever its build tag.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

TAGS=engine,acceptance,bench

unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
[ -z "$unformatted" ] || { echo "lint: gofmt these files: $unformatted" >&2; exit 1; }
go vet -tags "$TAGS" ./...
for mod in examples/*/go.mod; do (cd "${mod%/*}" && go vet ./...); done
tools/setup/modules.sh vet
go tool -modfile=tools/lint/go.mod staticcheck -tags "$TAGS" ./...
