#!/usr/bin/env bash
# modules.sh - programs that are modules of their own, since they take minutes to build and seldom change:
# lain-vault (vaultbridge/server), and for the tests buildkitd (tools/buildkitd).
#
#   modules.sh build NAME...   has bin/NAME; built once for each state of its sources and kept outside the clone
#   modules.sh vet             vets the modules
#   modules.sh test            runs their tests
#
# The binaries are kept below LAIN_CACHE (~/.cache/lain) under a hash of all they are made from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

TOP=$PWD CACHE=${LAIN_CACHE:-$HOME/.cache/lain} BIN=$PWD/bin

# The same flags every time: others would compile all packages again.
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -mod=readonly" GOWORK=off
LINK="-s -w"

module() { # NAME: its folder, and the package in it
  case $1 in
    lain-vault) FOLDER=vaultbridge/server PACKAGE=. ;;
    buildkitd) FOLDER=tools/buildkitd PACKAGE=github.com/moby/buildkit/cmd/buildkitd ;;
    *) echo "modules: there is no $1" >&2; exit 2 ;;
  esac
}

sources() { find . \( -name '*.go' ! -name '*_test.go' \) -o -name go.mod -o -name go.sum | LC_ALL=C sort; }

version() {
  { go env GOVERSION GOOS GOARCH; echo "$GOFLAGS $LINK"; sources | xargs sha256sum; } |
    sha256sum | cut -c1-16
}

# One builds, others wait. The name appears when the binary is whole.
compile() { # NAME FILE
  (
    flock 9
    [ ! -x "$2" ] || exit 0
    echo "modules: building $1, once for this state of its sources (some minutes)"
    trap 'rm -f "$2.part"' EXIT
    go build -ldflags "$LINK" -o "$2.part" "$PACKAGE" && mv "$2.part" "$2"
  ) 9>"$CACHE/$1.lock"
}

have() { # NAME
  local file
  module "$1"
  cd "$TOP/$FOLDER"
  file=$CACHE/$1-$(version)
  mkdir -p "$CACHE" "$BIN"
  [ -x "$file" ] || compile "$1" "$file"
  touch "$file"
  [ "$file" -ef "$BIN/$1" ] || ln -f "$file" "$BIN/$1" 2>/dev/null || install_copy "$file" "$1"
  find "$CACHE" -maxdepth 1 -name "$1-*" -mtime +30 -delete
}

# Where the cache is on another file system. A program that runs is replaced, never written into.
install_copy() { cmp -s "$1" "$BIN/$2" || { cp "$1" "$BIN/.$2" && mv -f "$BIN/.$2" "$BIN/$2"; }; }

# buildkitd has no code of ours.
vet() { cd vaultbridge/server && go vet ./...; }

# The command has no tests of its own: those of vaultbridge/local run the binary.
run_tests() { cd vaultbridge/server && go test ./durable; }

case ${1-} in
  build) shift; for name in "$@"; do have "$name"; done ;;
  vet) vet ;;
  test) run_tests ;;
  *) echo "use: modules.sh build NAME...|vet|test" >&2; exit 2 ;;
esac
