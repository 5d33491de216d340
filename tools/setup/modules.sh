#!/usr/bin/env bash
# vault.sh - lain-vault: a module of its own, which takes minutes to build and seldom changes.
#
#   vault.sh build   has bin/lain-vault; built once for each state of its sources and kept outside the clone
#   vault.sh vet     vets the module
#   vault.sh test    runs its tests
#
# The binary is kept below LAIN_CACHE (~/.cache/lain) under a hash of all it is made from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

CACHE=${LAIN_CACHE:-$HOME/.cache/lain} BIN=$PWD/bin
cd vaultbridge/server

# The same flags every time: others would compile all packages again.
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -mod=readonly" GOWORK=off
LINK="-s -w"

sources() { find . \( -name '*.go' ! -name '*_test.go' \) -o -name go.mod -o -name go.sum | LC_ALL=C sort; }

name() {
  { go env GOVERSION GOOS GOARCH; echo "$GOFLAGS $LINK"; sources | xargs sha256sum; } |
    sha256sum | cut -c1-16
}

# One builds, others wait. The name appears when the binary is whole.
compile() { # FILE
  (
    flock 9
    [ ! -x "$1" ] || exit 0
    echo "vault: building lain-vault, once for this state of its sources (some minutes)"
    trap 'rm -f "$1.part"' EXIT
    go build -ldflags "$LINK" -o "$1.part" . && mv "$1.part" "$1"
  ) 9>"$CACHE/lain-vault.lock"
}

build() {
  local file; file=$CACHE/lain-vault-$(name)
  mkdir -p "$CACHE" "$BIN"
  [ -x "$file" ] || compile "$file"
  touch "$file"
  [ "$file" -ef "$BIN/lain-vault" ] || ln -f "$file" "$BIN/lain-vault" 2>/dev/null || install_copy "$file"
  find "$CACHE" -maxdepth 1 -name 'lain-vault-*' -mtime +30 -delete
}

# Where the cache is on another file system. A program that runs is replaced, never written into.
install_copy() { cmp -s "$1" "$BIN/lain-vault" || { cp "$1" "$BIN/.lain-vault" && mv -f "$BIN/.lain-vault" "$BIN/lain-vault"; }; }

vet() { go vet ./...; }

# The command has no tests of its own: those of vaultbridge/local run the binary.
test() { go test ./durable; }

case ${1-} in
  build | vet | test) "$1" ;;
  *) echo "use: vault.sh build|vet|test" >&2; exit 2 ;;
esac
