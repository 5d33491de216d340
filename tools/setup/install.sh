#!/usr/bin/env bash
# install.sh - installs from the distribution what Lain needs and this machine lacks.
#
#   install.sh          what `make demo` and a server need
#   install.sh test     what the tests and benchmarks need besides
#
# It says what it installs and why, and asks only on a terminal (LAIN_YES=1 or CI=true: no question). It
# starts, restarts and upgrades nothing: a running engine or nginx of the machine goes on untouched, and one
# that comes new is neither started nor enabled. With nothing missing it ends at once.
set -euo pipefail

# What is looked for | package | why. A name with a slash is a file, any other a program.
needs() {
  cat <<'LIST'
dockerd|docker.io|the engine that runs the containers
docker|docker-cli docker.io|the engine's client
containerd|containerd|the engine's other half
nginx|nginx|the router
/usr/lib/nginx/modules/ngx_stream_module.so|libnginx-mod-stream|the router's TCP part
git|git|receives the pushes
ssh|openssh-client|pushes
restic|restic|backups
ip|iproute2|networks of the nodes
iptables|iptables|the engine's and our firewall
nft|nftables|virtual addresses
nsenter|util-linux|namespaces of the nodes
ps|procps|looks at processes
/bin/busybox|busybox-static|the shell in base images
/etc/ssl/certs/ca-certificates.crt|ca-certificates|certificates in base images
curl|curl|asks what is served
LIST
  if [ "${1-}" = test ]; then
    cat <<'LIST'
gcc|gcc libc6-dev|go test -race
/usr/lib/cni/bridge|containernetworking-plugins|networks for the steps of a buildkitd
/usr/bin/python3|python3|a base image of the examples
/usr/bin/node|nodejs|a base image of the examples
sshd|openssh-server|the baseline that we are measured against
ssh-audit|ssh-audit|looks for weak algorithms
LIST
  fi
}

die() { echo "install: $*" >&2; exit 1; }

have() { # NAME: a file, or a program, those of root included
  case $1 in
    /bin/busybox) busybox_is_static ;;
    */*) [ -e "$1" ] ;;
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
  esac
}

# Both of the distribution's busyboxes have the same path, and a dynamic one is no use in an image.
busybox_is_static() { [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1; }

# Prints the lines of needs that this machine lacks.
missing() {
  local what packages why
  while IFS='|' read -r what packages why; do
    have "$what" || echo "$what|$packages|$why"
  done < <(needs "${1-}")
}

check_system() {
  [ "$(uname -s)" = Linux ] || die "Lain runs on Linux, this is $(uname -s)"
  [ "$(id -u)" = 0 ] || die "root is needed to make networks, containers and namespaces: run it as root"
}

# A list of packages may offer alternatives: the first that the distribution has is taken.
candidate() {
  local p
  for p in "$@"; do
    apt-cache show "$p" >/dev/null 2>&1 && { echo "$p"; return; }
  done
  echo "$1" # apt-get then says that there is none
}

packages() { # of the missing lines on standard input
  local what list why
  while IFS='|' read -r what list why; do
    case $list in
      *libc6-dev*) echo "$list" | tr ' ' '\n' ;;
      *) # shellcheck disable=SC2086
        candidate $list ;;
    esac
  done | sort -u
}

ask() {
  { [ "${LAIN_YES-}" = 1 ] || [ "${CI-}" = true ] || [ ! -t 0 ]; } && return
  local answer
  read -r -p "Install them with apt-get? [Y/n] " answer
  [[ $answer =~ ^([yY].*)?$ ]] || die "nothing was installed"
}

POLICY=/usr/sbin/policy-rc.d POLICY_MARK='written by Lain for one installation'

# Debian starts what it installs unless policy-rc.d says no. Where there is a policy already, it is the
# machine's own and stays.
forbid_starts() {
  if [ -e "$POLICY" ] && ! grep -q "$POLICY_MARK" "$POLICY"; then return; fi
  trap allow_starts EXIT
  printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
  chmod 755 "$POLICY"
}

allow_starts() { ! grep -qs "$POLICY_MARK" "$POLICY" || rm -f "$POLICY"; }

# apt-get with a wait for whoever holds its lock, and a second and third try for broken downloads.
apt() {
  local try
  for try in 1 2 3; do
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 \
      apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" && return
    [ "$try" = 3 ] || { echo "install: apt-get failed, trying again" >&2; sleep "$((try * 5))"; }
  done
  return 1
}

# A service that is new on this machine shall not come up by itself at the next boot either.
disable_new() {
  local unit
  command -v systemctl >/dev/null || return 0
  for unit in "$@"; do
    systemctl disable -q "$unit" 2>/dev/null || true
  done
}

new_units() { # of the missing lines on standard input
  local what rest
  while IFS='|' read -r what rest; do
    case $what in
      dockerd) printf '%s\n' docker.service docker.socket ;;
      containerd | nginx) echo "$what.service" ;;
      sshd) printf '%s\n' ssh.service ssh.socket ;;
    esac
  done
}

install_missing() {
  local lines=$1 list units
  command -v apt-get >/dev/null || die "this machine has no apt-get: install by hand what is listed above"
  [ -n "$(apt-cache pkgnames restic 2>/dev/null)" ] || apt update
  mapfile -t list < <(packages <<<"$lines")
  mapfile -t units < <(new_units <<<"$lines")
  forbid_starts
  apt install --no-install-recommends --no-upgrade "${list[@]}" || {
    apt update && apt install --no-install-recommends --no-upgrade "${list[@]}"
  } || die "apt-get could not install: ${list[*]}"
  allow_starts
  disable_new "${units[@]}"
}

main() {
  local lines
  check_system
  lines=$(missing "${1-}")
  [ -n "$lines" ] || return 0
  echo "Missing on this machine:"
  awk -F'|' '{ split($2, p, " "); printf "  %-20s %s\n", p[1], $3 }' <<<"$lines"
  ask
  install_missing "$lines"
  lines=$(missing "${1-}")
  [ -z "$lines" ] || die "still missing after the installation: $(cut -d'|' -f1 <<<"$lines" | tr '\n' ' ')"
}

main "$@"
