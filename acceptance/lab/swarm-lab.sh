#!/usr/bin/env bash
# swarm-lab.sh - a Docker Swarm of N nodes on one Linux machine, for tests. Needs root, iproute2,
# util-linux (nsenter, unshare), dockerd + containerd + docker in PATH. Nothing leaves the machine.
#
#   swarm-lab.sh up N            make N nodes (n1..nN), n1 initialises the swarm, the others join
#   swarm-lab.sh exec NODE CMD.. run CMD inside the node's namespaces (net, mount, pid, uts), with
#                                DOCKER_HOST set to the node's engine
#   swarm-lab.sh docker NODE ARGS..  docker client of this machine against the node's engine
#   swarm-lab.sh ip NODE         the node's address        swarm-lab.sh sock NODE   its API socket
#   swarm-lab.sh load IMAGE|TAR [NODE..]  copy an image of the local engine, or a saved one, to the nodes
#   swarm-lab.sh cut NODE        pull the node's network cable      heal NODE  plug it in again
#   swarm-lab.sh kill NODE       power loss: everything in the node dies at once
#   swarm-lab.sh stop NODE       orderly shutdown                   start NODE  boot it again (same disk)
#   swarm-lab.sh restart NODE [SIGNAL]  end the node's dockerd alone (TERM, or KILL for a crash) and run it
#                                again; whatever else runs in the node goes on
#   swarm-lab.sh mem             memory of each node's engine       status      what there is
#   swarm-lab.sh down            remove everything
#
# How it is made: a switch namespace holds a bridge; each node has a network namespace with eth0 on that
# bridge, and a PID 1 (this script) in its own pid, mount, uts and ipc namespaces that runs one dockerd
# (which starts its own containerd). The machine itself has NET.1 on the bridge, so that tests can reach
# the nodes, and a registry listening there is reachable over plain http. The switch is a namespace of its
# own because the FORWARD rules of an engine on the machine would drop bridged frames.
# Settings (environment):
#   SWARM_LAB_DIR=/tmp/swarm-lab   state and the nodes' disks (short path; not below /run)
#   SWARM_LAB_NAME=slab            prefix of namespaces and interfaces (at most 6 letters)
#   SWARM_LAB_NET=10.77.0          first three octets of the nodes' network; node i is NET.(10+i)
#   SWARM_LAB_MANAGERS             number of managers (3 where N >= 3, else 1); 0: no swarm, engines only
#   SWARM_LAB_INIT_ARGS            more arguments for `docker swarm init` (address pool, heartbeat, ...)
#   SWARM_LAB_DATA_MB=0            size of a disk of its own, in memory, for each engine; it is lost with the
#                                  node's power. 0: a folder of the machine's disk
#   SWARM_LAB_DOCKERD_ARGS         more arguments for every dockerd
# A dockerd inherits the environment of `up` (or `start`), and has BuildKit's clipping of step logs switched off.
set -euo pipefail
DIR=${SWARM_LAB_DIR:-/tmp/swarm-lab} P=${SWARM_LAB_NAME:-slab} NET=${SWARM_LAB_NET:-10.77.0}
SELF=$(readlink -f "$0") SW=$P-switch

export BUILDKIT_STEP_LOG_MAX_SIZE=2147483647 BUILDKIT_STEP_LOG_MAX_SPEED=2147483647 # 32 bits in 20.10; -1 loses all

die() { echo "swarm-lab: $*" >&2; exit 1; }
[[ $P =~ ^[a-z][a-z0-9]{0,5}$ ]] || die "SWARM_LAB_NAME '$P' is not a letter and at most five more letters or digits"
[[ $NET =~ ^[0-9]{1,3}(\.[0-9]{1,3}){2}$ ]] || die "SWARM_LAB_NET '$NET' is not the first three octets of a network"
num() { [[ ${1-} =~ ^n([1-9][0-9]?)$ ]] || die "no such node: '${1-}' (n1, n2, ...)"; echo "${BASH_REMATCH[1]}"; }
ip_of() { local i; i=$(num "$1"); echo "$NET.$((10 + i))"; }
sock_of() { echo "$DIR/$1/docker.sock"; }
dk() { local n=$1; shift; docker -H "unix://$(sock_of "$n")" "$@"; }
nodes() { local d; for d in "$DIR"/n[0-9]*; do [ -d "$d" ] && basename "$d"; done | sort -V; }

# The node's PID 1 as this machine sees it; fails where the node is not running. The recorded process is
# believed only if its command line is this script's, so a recycled pid is never signalled.
init_pid() {
  local p c; p=$(cat "$DIR/$1/pid" 2>/dev/null) || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$p/cmdline" | grep -q -- " __init $1 " || return 1
  c=$(cat "/proc/$p/task/$p/children" 2>/dev/null) || return 1
  c=${c%% *}; [ -n "$c" ] && echo "$c"
}
gone() { local i; for ((i = 0; i < ${2:-100}; i++)); do [ -d "/proc/$1" ] || return 0; sleep 0.1; done; return 1; }

# Inside the node: own /proc, /sys (for this network namespace, the machine's cgroups kept), /run.
node_init() {
  local n=$1 d=$DIR/$1 pid='' again=yes
  mount --make-rprivate /
  hostname "$P-$n"
  mount -t proc proc /proc
  mkdir -p "$d/cg" "$d/data"
  [ "${SWARM_LAB_DATA_MB:-0}" = 0 ] || mount -t tmpfs -o "size=${SWARM_LAB_DATA_MB}m,mode=711" lab-data "$d/data"
  mount --rbind /sys/fs/cgroup "$d/cg"; mount -t sysfs sysfs /sys; mount --rbind "$d/cg" /sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/lock
  ip link set lo up
  # Names are asked of this machine (NET.1) only, which refuses at once unless a test runs a DNS server
  # there; with an unreachable name server every pull of a tag would wait 20 s. No default route either.
  echo "nameserver $NET.1" >"$d/resolv.conf"; mount --bind "$d/resolv.conf" /etc/resolv.conf
  trap 'rm -f "$d/again"; kill -TERM "$pid" 2>/dev/null' TERM INT
  while [ "$again" ]; do
    rm -f "$d/again" /run/docker.pid
    engine "$n" "$d" & pid=$!
    while kill -0 "$pid" 2>/dev/null; do wait "$pid" || true; done # also reaps orphans
    [ -e "$d/again" ] || again=''
  done
}

engine() { # NODE DIR: become the node's dockerd
  local n=$1 d=$2
  # shellcheck disable=SC2086
  exec dockerd -H "unix://$(sock_of "$n")" --data-root "$d/data" --exec-root /run/docker --pidfile /run/docker.pid \
    --cgroup-parent "/$P/$n" --exec-opt native.cgroupdriver=cgroupfs --insecure-registry "$NET.0/24" \
    ${SWARM_LAB_DOCKERD_ARGS-} >>"$d/log" 2>&1
}

start() {
  local n=$1 i ns=$P-$1 d=$DIR/$1; i=$(num "$n")
  init_pid "$n" >/dev/null && return 0
  mkdir -p "$d"; rm -f "$d/docker.sock"
  if ! ip netns pids "$ns" >/dev/null 2>&1; then
    ip netns add "$ns"
    ip link add "$P-p$i" netns "$SW" mtu 1500 type veth peer name eth0 netns "$ns"
    ip -n "$SW" link set "$P-p$i" master br0 up
    ip -n "$ns" addr add "$(ip_of "$n")/24" dev eth0; ip -n "$ns" link set eth0 up
  fi
  ip -n "$SW" link set "$P-p$i" up
  setsid nsenter --net="/run/netns/$ns" unshare --mount --uts --ipc --pid --fork --kill-child \
    bash "$SELF" __init "$n" . </dev/null >>"$d/log" 2>&1 &
  echo $! >"$d/pid"
  for ((i = 0; i < 300; i++)); do
    dk "$n" version >/dev/null 2>&1 && return 0
    [ -d "/proc/$(cat "$d/pid")" ] || break
    sleep 0.1
  done
  tail -5 "$d/log" >&2; die "$n did not come up (see $d/log)"
}

halt() { # NODE SIGNAL: end the node's PID 1; the kernel then ends all that is in its pid namespace
  local p w; p=$(init_pid "$1") || return 0
  w=$(cat "$DIR/$1/pid")
  kill "-$2" "$p" 2>/dev/null || true
  gone "$w" 200 || { kill -KILL "$p" 2>/dev/null || true; gone "$w" 50 || die "$1 does not die"; }
  rm -f "$DIR/$1/docker.sock"
}

restart() { # NODE [SIGNAL]: the engine alone; back when its API answers and its swarm is what it was
  local n=$1 sig=${2-TERM} d=$DIR/$1 p i state
  [[ $sig =~ ^(TERM|KILL)$ ]] || die "restart with TERM or KILL, not '$sig'"
  p=$(init_pid "$n") || die "$n is not running"
  state=$(dk "$n" info -f '{{.Swarm.LocalNodeState}}')
  touch "$d/again"
  nsenter -t "$p" -m -p -- sh -c 'kill "-$0" "$(cat /run/docker.pid)"' "$sig"
  for ((i = 0; i < 600; i++)); do
    [ ! -e "$d/again" ] && [ "$(dk "$n" info -f '{{.Swarm.LocalNodeState}}' 2>/dev/null)" = "$state" ] && return 0
    sleep 0.1
  done
  tail -5 "$d/log" >&2; die "the engine of $n did not come back (see $d/log)"
}

up() {
  local n=${1-} m i tm tw state; [[ $n =~ ^[1-9][0-9]?$ ]] || die "up needs a number of nodes"
  [ "$n" -le 50 ] || die "at most 50 nodes"; [ "$(id -u)" = 0 ] || die "needs root"
  m=${SWARM_LAB_MANAGERS-$((n >= 3 ? 3 : 1))}
  mkdir -p "$DIR"
  if ! ip netns pids "$SW" >/dev/null 2>&1; then
    ip netns add "$SW"; ip -n "$SW" link add br0 type bridge; ip -n "$SW" link set br0 up; ip -n "$SW" link set lo up
    ip link add "$P-host" type veth peer name "$P-p0" netns "$SW"
    ip -n "$SW" link set "$P-p0" master br0 up
    ip addr add "$NET.1/24" dev "$P-host"; ip link set "$P-host" up
  fi
  for ((i = 1; i <= n; i++)); do start "n$i" & sleep 0.1; done
  for i in $(jobs -p); do wait "$i" || true; done
  for ((i = 1; i <= n; i++)); do init_pid "n$i" >/dev/null || die "n$i is not running"; done
  [ "$m" -gt 0 ] || return 0
  for ((i = 1; i <= n; i++)); do
    state=$(dk "n$i" info -f '{{.Swarm.LocalNodeState}}'); [ "$state" = inactive ] || continue
    if [ "$i" = 1 ]; then
      # shellcheck disable=SC2086
      dk n1 swarm init --advertise-addr "$(ip_of n1)" ${SWARM_LAB_INIT_ARGS-} >/dev/null; continue
    fi
    tm=$(dk n1 swarm join-token -q manager) tw=$(dk n1 swarm join-token -q worker)
    dk "n$i" swarm join --advertise-addr "$(ip_of "n$i")" --token "$([ "$i" -le "$m" ] && echo "$tm" || echo "$tw")" "$NET.11:2377" >/dev/null
  done
}

down() {
  local n ns
  for n in $(nodes); do halt "$n" KILL & done
  wait
  for ns in $(ip netns list | awk '{print $1}' | grep -E "^$P-n[0-9]+\$"); do # a node whose folder was lost
    ip netns pids "$ns" | xargs -r kill -KILL 2>/dev/null || true
  done
  for ns in $(ip netns list | awk '{print $1}' | grep -E "^$P-(switch|n[0-9]+)\$"); do ip netns del "$ns"; done
  ip link del "$P-host" 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d \( -path "*/$P/n*" -o -path "/sys/fs/cgroup*/$P" \) -exec rmdir {} + 2>/dev/null || true
  for n in $(nodes); do rm -rf --one-file-system "${DIR:?}/$n"; done
  rmdir "$DIR" 2>/dev/null || true
}

load() {
  local src=$1 tar=$1 n to; shift
  if [ $# -gt 0 ]; then to=("$@"); else mapfile -t to < <(nodes); fi
  [ -f "$src" ] || { tar=$(mktemp "$DIR/image.XXXXXX"); docker save -o "$tar" "$src"; }
  for n in "${to[@]}"; do dk "$n" load -q -i "$tar"; done
  [ "$tar" = "$src" ] || rm -f "$tar"
}

mem() { # RSS of dockerd and containerd, and of all that runs in the node's namespace, in MiB
  local n ns p r all eng
  for n in $(nodes); do
    ns=$(readlink "/proc/$(init_pid "$n")/ns/pid") || { echo "$n off"; continue; }
    all=0 eng=0
    for p in /proc/[0-9]*; do
      [ "$(readlink "$p/ns/pid" 2>/dev/null)" = "$ns" ] || continue
      r=$(awk '/^VmRSS/{print $2}' "$p/status" 2>/dev/null); all=$((all + ${r:-0}))
      case $(cat "$p/comm" 2>/dev/null) in dockerd | containerd) eng=$((eng + ${r:-0})) ;; esac
    done
    echo "$n engine=$((eng / 1024)) total=$((all / 1024))"
  done
}

cmd=${1-}; shift || true
case $cmd in
  up) up "$@" ;; down) down ;; load) [ $# -gt 0 ] || die "load what?"; load "$@" ;; mem) mem ;;
  ip) ip_of "${1-}" ;; sock) num "${1-}" >/dev/null; sock_of "$1" ;;
  start) num "${1-}" >/dev/null; start "$1" ;; stop) num "${1-}" >/dev/null; halt "$1" TERM ;;
  restart) num "${1-}" >/dev/null; restart "$@" ;;
  kill) i=$(num "${1-}"); ip -n "$SW" link set "$P-p$i" down # first, so that no FIN of a dying socket gets out
    halt "$1" KILL ;;
  cut) i=$(num "${1-}"); ip -n "$SW" link set "$P-p$i" down ;; heal) i=$(num "${1-}"); ip -n "$SW" link set "$P-p$i" up ;;
  docker) num "${1-}" >/dev/null; dk "$@" ;;
  exec) num "${1-}" >/dev/null; n=$1; shift; p=$(init_pid "$n") || die "$n is not running"
    exec env "DOCKER_HOST=unix://$(sock_of "$n")" nsenter -t "$p" -m -u -i -n -p -- setpriv --pdeathsig KILL "$@" ;; # CMD ends with its nsenter
  status) for n in $(nodes); do echo "$n $(ip_of "$n") $(init_pid "$n" >/dev/null && echo running || echo off) $(ip -n "$SW" link show "$P-p$(num "$n")" | grep -q LOWER_UP && echo linked || echo cut)"; done ;;
  __init) node_init "$1"; exit ;; # exit: this file may have changed under a node that runs for days
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$SELF" >&2; exit 2 ;;
esac
