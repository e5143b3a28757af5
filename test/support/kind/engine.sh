# A private container engine in network and mount namespaces of its own. It never touches the machine's own network
# beyond one veth pair: .1 is this machine, .2 the engine's side.
# The number keeps two caches on one machine (and so two engines) apart.
number=$((16#$(sha256sum <<< "$CACHE" | cut -c1-2)))
NETNS=shardcluster-$number; LINK=shc$number; HOST_ADDRESS=10.251.$number.1; ENGINE_ADDRESS=10.251.$number.2
export DOCKER_HOST=unix://$ENGINE/docker.sock
DOCKER=$PACKAGES/engine/usr/bin/docker

engine_answers() { timeout 30 "$DOCKER" info > /dev/null 2>&1; }

with_engine_lock() {
  local lock; exec {lock}> "$CACHE/lock/engine"; flock $lock
  LOCK=$lock; "$@"; exec {lock}>&-
}

engine_start() {
  ! engine_answers || return 0
  engine_sweep     # a killed engine leaves its containerd, shims and mounts
  ip netns add "$NETNS"; ip link add "$LINK" type veth peer name "${LINK}e"; ip link set "${LINK}e" netns "$NETNS"
  ip addr add "$HOST_ADDRESS/30" dev "$LINK"; ip link set "$LINK" up
  ip -n "$NETNS" link set lo up; ip -n "$NETNS" addr add "$ENGINE_ADDRESS/30" dev "${LINK}e"
  ip -n "$NETNS" link set "${LINK}e" up; ip -n "$NETNS" route add default via "$HOST_ADDRESS"
  mkdir -p "$ENGINE"/{run,data}
  # nsenter and not "ip netns exec": that one mounts a fresh /sys and hides the cgroups.
  # --dns is an address that refuses at once, so that look-ups of unknown names do not hang for 5 s.
  PATH=$PACKAGES/engine/usr/sbin:$PACKAGES/engine/usr/bin:$PATH setsid nohup nsenter --net="/run/netns/$NETNS" unshare --mount --propagation private \
    "$PACKAGES/engine/usr/sbin/dockerd" -H "$DOCKER_HOST" --data-root "$ENGINE/data" --exec-root "$ENGINE/run" -p "$ENGINE/pid" \
    --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust 0 --dns "$ENGINE_ADDRESS" \
    --bip 172.30.0.1/24 --default-address-pool base=172.31.0.0/16,size=24 --userland-proxy-path "$PACKAGES/engine/usr/sbin/docker-proxy" \
    --add-runtime lesscaps="$here/runc-lesscaps" --default-runtime lesscaps > "$CACHE/log/engine" 2>&1 < /dev/null {LOCK}>&- &
  local try
  for try in $(seq 300); do ! engine_answers || return 0; sleep .1; done
  tail -5 "$CACHE/log/engine" >&2; die "the container engine did not start within 30 s; its log is $CACHE/log/engine"
}

# Processes of this engine, by what only their command lines hold: its run directory or its socket.
engine_processes() {
  local dir words
  for dir in /proc/[0-9]*; do
    mapfile -d '' words < "$dir/cmdline" || continue
    case "${words[*]}" in *"$ENGINE/run/"*|*"dockerd -H $DOCKER_HOST"*) echo "${dir#/proc/}" ;; esac
  done 2> /dev/null
}

# Processes in the containers of this engine: they outlive a killed engine, in namespaces of their own.
container_cgroups() {
  local id; [ -d "$ENGINE/data/containers" ] || return 0
  for id in $(ls "$ENGINE/data/containers"); do ls -d /sys/fs/cgroup/{,*/}docker/"$id" 2> /dev/null || true; done
}
container_processes() { container_cgroups | while read -r dir; do find "$dir" -name cgroup.procs -exec cat {} +; done | sort -un; }

engine_stop() {
  local pid
  if engine_answers && pid=$(cat "$ENGINE/pid" 2> /dev/null); then
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 200); do grep -qs '^State:[[:space:]]*[^Z]' "/proc/$pid/status" || break; sleep .1; done
  fi
  engine_sweep
}

engine_sweep() {
  local pids try
  for try in 1 2 3 4 5; do
    pids="$(engine_processes) $(container_processes)"; [ -n "${pids// }" ] || break
    kill -KILL $pids 2> /dev/null || true; sleep .3
  done
  ip link del "$LINK" 2> /dev/null || true; ip netns del "$NETNS" 2> /dev/null || true
  rm -rf "$ENGINE/run" "$ENGINE/pid" "$ENGINE/docker.sock"
  container_cgroups | while read -r dir; do find "$dir" -depth -type d -exec rmdir {} + 2> /dev/null || true; done
  rmdir /sys/fs/cgroup/{,*/}docker 2> /dev/null || true
  rmdir /lib/modules 2> /dev/null || true     # the engine makes it, empty, where a machine has none
}

# A claim is a file that names its holder: "<pid> <start time>" of a process, or "kept" until somebody takes it down.
claim_is_live() {
  local pid start; read -r pid start < "$1" || true
  [ "$pid" != kept ] || return 0
  [ "$(sed 's/.*) //' "/proc/$pid/stat" 2> /dev/null | cut -d' ' -f20)" = "$start" ]
}
engine_stop_unless_claimed() {
  local claim
  for claim in "$CACHE"/clusters/*.claim; do
    if [ -e "$claim" ]; then
      if claim_is_live "$claim"; then return 0; fi
      rm -f "$claim"
    fi
  done
  engine_stop
}
