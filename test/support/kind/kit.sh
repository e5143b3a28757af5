#!/bin/bash
# kind for a machine without a container engine and without an image registry. Progress goes to standard error,
# results to standard output. See README.md.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for part in machine binaries debian engine images node-image; do . "$here/$part.sh"; done

usage='usage: kit.sh binaries NAME... | build | up | base NODE_BINARY NPM_DIRECTORY | release | watch PID CLAIM | down | clean'

# Debian downloads while Go compiles. Each result has a lock of its own, so the plan below finds it done or waits for
# it; what fails here fails there again, with its message.
build_debian_beside() {
  ( trap - EXIT; plan=(); plan_packages; plan_rootfs; plan_basefs; run_plan ) 2> /dev/null & debian=$!
}

build_all() {
  require_machine
  local debian; build_debian_beside
  plan_binaries "${BINARIES[@]}"; plan_packages; plan_rootfs; plan_basefs; run_plan
  wait "$debian" || true
}

engine_with_node_image() {
  with_engine_lock engine_start
  "$DOCKER" image inspect "$NODE_IMAGE" > /dev/null 2>&1 || rm -f "$ENGINE/node-$NODE_KEY"
  plan_node_image; run_plan
}

# The stand-in for the official Node image, with Node and npm where that one has them.
base_image() {
  local node=$1 npm=$2 work image
  image=shardcluster/node-base:$("$node" --version)-$(key "$BASEFS" "$("$node" --version)" "$(sha256sum < "$npm/package.json")")
  if ! "$DOCKER" image inspect "$image" > /dev/null 2>&1; then
    work=$(mktemp -d -p "$CACHE"); cp -a "$BASEFS" "$work/root"
    install -D -m 755 "$node" "$work/root/usr/local/bin/node"
    mkdir -p "$work/root/usr/local/lib/node_modules"; cp -aL "$npm" "$work/root/usr/local/lib/node_modules/npm"
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/root/usr/local/bin/npm"
    tar -C "$work/root" --numeric-owner -c . | "$DOCKER" import -c 'CMD ["node"]' - "$image" > /dev/null
    rm -rf "$work"
  fi
  echo "$image"
}

# Ends the engine once PID is gone and CLAIM is still its own: a killed test run leaves nothing behind.
watch_claim() {
  local pid=$1 claim=$2
  while [ -e "$claim" ] && claim_is_live "$claim" && [ "$(cut -d' ' -f1 "$claim")" = "$pid" ]; do sleep 1; done
  with_engine_lock engine_stop_unless_claimed
}

drop_claim() { rm -f "$claim"; with_engine_lock engine_stop_unless_claimed; }

command=${1:-}; [ $# = 0 ] || shift
case $command in
  binaries) require_go; plan_binaries "$@"; run_plan; echo "$BIN" ;;
  build)    claim=$CACHE/clusters/build-$$.claim; at_exit=drop_claim
            echo "$$ $(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)" > "$claim"
            build_all; engine_with_node_image ;;
  up)       build_all; engine_with_node_image
            printf '%s=%s\n' DOCKER_HOST "$DOCKER_HOST" BIN "$BIN" DOCKER "$DOCKER" NODE_IMAGE "$NODE_IMAGE" HOST_ADDRESS "$HOST_ADDRESS" ENGINE_ADDRESS "$ENGINE_ADDRESS" ;;
  base)     [ $# = 2 ] || die "$usage"; plan_basefs; run_plan; base_image "$@" ;;
  release)  with_engine_lock engine_stop_unless_claimed ;;
  watch)    [ $# = 2 ] || die "$usage"; watch_claim "$@" ;;
  down)     with_engine_lock engine_stop; rm -f "$CACHE"/clusters/*.claim ;;
  clean)    with_engine_lock engine_stop; rm -rf "$CACHE"/{bin,kube,debian,rootfs,basefs}-* "$CACHE"/tmp.* "$CACHE"/{engine,clusters,log,lock} ;;
  *)        die "$usage" ;;
esac
