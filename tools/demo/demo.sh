#!/usr/bin/env bash
# demo.sh - the whole of Lain on this machine, in a node of its own.
#
#   demo.sh up      install, build, start, push an application, push a change of it under load
#   demo.sh down    remove all of that
#
# The node has its own network, processes and engine (acceptance/lab/swarm-lab.sh), so no port, container or
# nginx of the machine is touched. A small forwarder makes its HTTP and SSH ports reachable on the loopback.
# `up` can be run again: what runs is used again.
# Settings (environment):
#   LAIN_DEMO_DIR=/var/lib/lain-demo   state: the node's disk, laind's data, the application, keys, logs
#   LAIN_DEMO_NET=10.118.0             first three octets of the node's network
set -euo pipefail

SELF=$(readlink -f "${BASH_SOURCE[0]}")
TOP=$(cd "$(dirname "$SELF")/../.." && pwd)
DEMO=${LAIN_DEMO_DIR:-/var/lib/lain-demo} NET=${LAIN_DEMO_NET:-10.118.0}
NODE=$NET.11 APP=$DEMO/hello HOST=hello.lain.localhost
export SWARM_LAB_NAME=demo SWARM_LAB_NET=$NET SWARM_LAB_DIR=$DEMO/lab
RESULTS=()

die() { echo "demo: $*" >&2; exit 1; }
step() { printf '\n[%3d s] %s\n' "$SECONDS" "$*"; }
lab() { "$TOP/acceptance/lab/swarm-lab.sh" "$@"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# The process of a pid file, if it still is the one we started: its command line must hold the given words.
running() { # PIDFILE WORDS
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2" && echo "$pid"
}

child() { tr -d ' ' <"/proc/$1/task/$1/children"; }

gone() { # PID SECONDS: wait for its end
  local i
  for ((i = 0; i < $2 * 10; i++)); do [ -d "/proc/$1" ] || return 0; sleep 0.1; done
  return 1
}

start_node() {
  mkdir -p "$DEMO"
  lab up 1
  echo "         node $(lab ip n1), engine $(lab docker n1 version -f '{{.Server.Version}}') in Swarm mode"
}

make_bases() { "$TOP/bin/make-bases" -engine "unix://$(lab sock n1)" golang bare | sed 's/^/         /'; }

make_keys() {
  [ -e "$DEMO/key" ] || ssh-keygen -q -t ed25519 -N '' -C demo -f "$DEMO/key"
}

# laind runs until `down`; a newer binary takes over from an older one, while nginx and the containers go on.
start_laind() {
  local door
  if door=$(running "$DEMO/laind.pid" "--public-http-port $HTTP_PORT ") && cmp -s "/proc/$(child "$door")/exe" "$TOP/bin/laind"; then
    echo "         runs already"; return
  fi
  stop_laind
  setsid "$TOP/acceptance/lab/swarm-lab.sh" exec n1 "$TOP/bin/laind" serve --cluster demo --data "$DEMO/data" --run /run/lain \
    --engine "unix://$(lab sock n1)" --ssh-addr :2222 --router-http-addr :80 --public-http-port "$HTTP_PORT" --registry-addr 127.0.0.1:5000 \
    --api-addr 127.0.0.1:7070 --domain lain.localhost --admin-key "$DEMO/key.pub" \
    </dev/null >>"$DEMO/laind.log" 2>&1 &
  echo $! >"$DEMO/laind.pid"
  wait_for_laind $!
}

wait_for_laind() {
  local i
  for ((i = 0; i < 600; i++)); do
    lab exec n1 curl -fs -o /dev/null --noproxy '*' http://127.0.0.1:7070/healthz && return
    [ -d "/proc/$1" ] || break
    sleep 0.1
  done
  tail -20 "$DEMO/laind.log" >&2
  die "laind did not come up; its whole log is $DEMO/laind.log"
}

stop_laind() {
  local door
  door=$(running "$DEMO/laind.pid" "laind serve --cluster demo") || return 0
  kill -TERM "$(child "$door")" 2>/dev/null || true
  gone "$door" 65 || kill -KILL "$door"
}

start_forward() {
  local i pid
  if ! pid=$(running "$DEMO/forward.pid" "forward -state $DEMO/ports"); then
    rm -f "$DEMO/ports"
    setsid "$TOP/bin/forward" -state "$DEMO/ports" "http=8080:$NODE:80" "ssh=2222:$NODE:2222" </dev/null >>"$DEMO/forward.log" 2>&1 &
    pid=$!
    echo "$pid" >"$DEMO/forward.pid"
  fi
  for ((i = 0; i < 100; i++)); do
    [ -s "$DEMO/ports" ] && break
    [ -d "/proc/$pid" ] || { cat "$DEMO/forward.log" >&2; die "the forwarder did not start"; }
    sleep 0.05
  done
  HTTP_PORT=$(awk '$1 == "http" { print $2 }' "$DEMO/ports") SSH_PORT=$(awk '$1 == "ssh" { print $2 }' "$DEMO/ports")
  URL=http://$HOST:$HTTP_PORT/
  echo "         127.0.0.1:$HTTP_PORT is the node's port 80, 127.0.0.1:$SSH_PORT its port 2222"
}

# What `setup` would print, with the demo's own key and known hosts; the person's own files are left alone.
write_ssh_config() {
  cat >"$DEMO/ssh_config" <<CONF
Host lain
  HostName 127.0.0.1
  Port $SSH_PORT
  User lain
  IdentityFile $DEMO/key
  IdentitiesOnly yes
  UserKnownHostsFile $DEMO/known_hosts
  HostKeyAlias lain-demo
  StrictHostKeyChecking accept-new
  BatchMode yes
  LogLevel ERROR
CONF
}

# A copy of examples/hello as a repository of its own. One that is there already may have been worked in: it stays.
make_app() {
  if [ ! -d "$APP/.git" ]; then
    rm -rf "$APP"
    cp -R "$TOP/examples/hello" "$APP"
    git init -q -b main "$APP"
    in_app config user.name "${SUDO_USER:-$(id -un)}"
    in_app config user.email demo@lain.localhost
    in_app config core.sshCommand "ssh -F $DEMO/ssh_config"
    in_app add .
    in_app commit -q -m 'hello: greet'
    in_app remote add lain lain:hello
  else
    change "Hello from Lain, at $(date +%T)!"
  fi
  echo "         $APP, remote $(in_app remote get-url lain)"
}

in_app() { git -C "$APP" "$@"; }

change() { # one line of the application
  sed -i "s|^const greeting = .*|const greeting = \"$1\"|" "$APP/main.go"
  in_app commit -q -a -m "hello: say \"$1\""
}

push() { # TITLE: shows git's own output, and times it
  local began took
  echo "         \$ git push lain main"
  began=$(now_ms)
  in_app push lain main 2>&1 || die "the push failed; laind's log is $DEMO/laind.log"
  took=$(($(now_ms) - began))
  RESULTS+=("$(printf '%-26s %s s' "$1" "$(seconds "$took")")")
}

# The application's key and the name it greets are in the server's vault, never in git. Giving them makes the
# application on the server; a second demo changes neither.
give_secrets() {
  if lain secret list hello 2>/dev/null | grep -q signing.key; then echo "         there already"; return; fi
  echo "         \$ ssh lain secret put hello conf/signing.key < signing.key"
  new_key | lain secret put hello conf/signing.key 2>&1 | sed 's/^/         /'
  echo "         \$ ssh lain config set hello HELLO_NAME < name"
  echo "${SUDO_USER:-$(id -un)}" | lain config set hello HELLO_NAME 2>&1 | sed 's/^/         /'
}

new_key() { head -c 32 /dev/urandom; }
lain() { ssh -F "$DEMO/ssh_config" lain "$@"; }

rotate() {
  local began
  echo "         \$ ssh lain secret put hello conf/signing.key < new.key"
  began=$(now_ms)
  new_key | lain secret put hello conf/signing.key 2>&1 | sed 's/^/         /'
  RESULTS+=("$(printf '%-26s %s s' "new secret, to live" "$(seconds $(($(now_ms) - began)))")")
  echo "         \$ curl $URL"; visit | sed 's/^/         /'
}

push_under_load() {
  local load
  "$TOP/bin/lain-load" -addr "$NODE:80" -host "$HOST" -rate 200 -json "$DEMO/load.json" >"$DEMO/load.txt" 2>&1 &
  load=$!
  # shellcheck disable=SC2064
  trap "kill -TERM $load 2>/dev/null || true" EXIT
  sleep 1
  push "second push, under load"
  sleep 4 # the old instances are told to stop some seconds after they leave the router
  kill -TERM "$load"
  wait "$load" || true
  trap - EXIT
  [ -s "$DEMO/load.json" ] || { cat "$DEMO/load.txt" >&2; die "the load tool counted nothing"; }
  sed 's/^/         /' "$DEMO/load.txt"
}

lost() { awk -F'[:,]' '/"lost"/ { n += $2 } END { print n + 0 }' "$DEMO/load.json"; }

visit() { curl -fsS --noproxy '*' --resolve "$HOST:$HTTP_PORT:127.0.0.1" --max-time 10 "$URL"; }

closing() {
  step "done"
  printf '\n  %s\n' "$URL"
  visit | sed 's/^/    /'
  echo
  printf '  %s\n' "${RESULTS[@]}"
  printf '  %-26s %s of %s\n' "lost requests" "$(lost)" "$(awk -F'[:,]' '/"sent"/ { print $2 + 0; exit }' "$DEMO/load.json")"
  cat <<TEXT

  The application is a git repository: change something there, commit, and
    git -C $APP push lain main
  The server's own commands:
    ssh -F $DEMO/ssh_config lain help
  Stop it and remove everything: make demo-down
TEXT
}

up() {
  step "installing what is missing"; "$TOP/tools/setup/install.sh"
  step "building the binaries"; make --no-print-directory -C "$TOP" build
  step "starting a node with an engine of its own"; start_node
  step "making base images from this machine's toolchain"; make_bases
  step "opening ports on the loopback"; start_forward; make_keys; write_ssh_config
  step "starting laind in the node"; start_laind
  step "making the application"; make_app
  step "giving it a secret file and a config value"; give_secrets
  step "pushing it"; push "first push"
  echo "         \$ curl $URL"; visit | sed 's/^/         /'
  step "changing one line, and pushing that under 200 requests per second"
  change "Hello again from Lain, at $(date +%T)!"
  in_app show --format= -U0 main | grep '^[-+]const' | sed 's/^/         /'
  push_under_load
  step "changing the secret: only the proc that has it gets new containers, nothing is built"; rotate
  closing
  [ "$(lost)" = 0 ] || die "requests were lost: see $DEMO/load.txt"
}

down() {
  local pid
  [ -d "$DEMO" ] || { echo "demo: there is nothing to remove"; return; }
  step "stopping"
  if pid=$(running "$DEMO/forward.pid" "forward -state $DEMO/ports"); then kill -TERM "$pid"; fi
  stop_laind
  lab exec n1 "$TOP/bin/laind" down --data "$DEMO/data" --run /run/lain 2>/dev/null || true # the node's end ends the rest
  lab down
  step "removing $DEMO"
  rm -rf --one-file-system "$DEMO" "$DEMO.lock"
  echo "         kept: the packages that were installed, and the base images' parts in ${XDG_CACHE_HOME:-$HOME/.cache}/lain"
}

# One demo.sh at a time; what it leaves running does not hold the lock (-o).
alone() {
  local code=0
  [ "$(id -u)" = 0 ] || die "root is needed to make networks, containers and namespaces: run it as root"
  flock -n -o -E 75 "$DEMO.lock" "$SELF" "__$1" || code=$?
  [ "$code" != 75 ] || die "another make demo is at work"
  exit "$code"
}

case ${1-} in
  up | down) alone "$1" ;;
  __up) up ;;
  __down) down ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$SELF" >&2; exit 2 ;;
esac
