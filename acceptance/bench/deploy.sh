#!/bin/bash
# The post-receive hook of somebody who deploys by hand: build, update the service, tell nginx. With the push
# option hurry, Swarm updates all instances at once and watches them for 1 s instead of 5. The settings in
# capitals are written above it. Each step's time goes to the pusher.
set -euo pipefail
began=$(date +%s%N)
step() { local now; now=$(date +%s%N); echo "step $1 $(((now - began) / 1000))"; began=$now; }

read -r _ commit _
update=(--update-monitor 5s --update-parallelism 1)
for ((i = 0; i < ${GIT_PUSH_OPTION_COUNT:-0}; i++)); do
  option=GIT_PUSH_OPTION_$i
  case ${!option} in hurry) update=(--update-monitor 1s --update-parallelism 0) ;; esac
done

rm -rf "$DIR/src"; mkdir -p "$DIR/src"
git archive "$commit" | tar -x -C "$DIR/src"
step checkout

image=$(docker build -q "$DIR/src") # its id: for a name, each node would first ask a registry
step build

if docker service inspect plain >/dev/null 2>&1; then
  docker service update -q --image "$image" --no-resolve-image --update-order start-first "${update[@]}" plain >/dev/null
else
  docker service create -q --name plain --replicas 2 --no-resolve-image --publish mode=host,target=8080 \
    --health-cmd 'wget -q -O /dev/null http://127.0.0.1:8080/healthz' --health-interval 500ms --health-retries 3 --health-timeout 3s \
    "$image" >/dev/null
fi
step update

ports=$(docker service ps -q --no-trunc -f desired-state=running plain |
  xargs docker inspect -f '{{(index .Status.PortStatus.Ports 0).PublishedPort}}')
{ echo "upstream plain {"; for port in $ports; do echo "  server $IP:$port;"; done; echo "}"; } >"$DIR/upstream.conf"
nginx -c "$DIR/nginx.conf" -s reload
step reload
