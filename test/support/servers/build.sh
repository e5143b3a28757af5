#!/bin/bash
# The servers that sinks are tested against: nats-server from its Go module, Redis and RabbitMQ from Debian packages
# that are unpacked, never installed (installing starts a service). Prints the directory of each: NATS=…, DEBIAN=….
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

NATS=2.15.2
SUITE=$NODE_SUITE
# What the two need beyond the C library, systemd's and OpenSSL's: present on every Debian of that suite.
PACKAGES=(redis-server redis-tools libatomic1 libjemalloc2 liblzf1 rabbitmq-server libsctp1
  erlang-{base,asn1,crypto,eldap,ftp,inets,mnesia,os-mon,parsetools,public-key,runtime-tools,snmp,ssl,syntax-tools,tftp,tools,xmerl})

nats() {
  mkdir "$1"
  CGO_ENABLED=0 GOBIN=$1 nice -n "${SHARDCLUSTER_NICE:-10}" go install -trimpath "github.com/nats-io/nats-server/v2@v$NATS"
}

debian() {
  local site out=$1 apt=$1/apt; site=$(mirror)
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial} "$out/deb"
  printf 'deb %s %s main\n' "$site" "$SUITE" > "$apt/list"
  local options=(-qq -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/list"
    -o Dir::Etc::sourceparts=- -o Acquire::Languages=none -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$out/deb" && apt-get "${options[@]}" download "${PACKAGES[@]/%//$SUITE}")
  for package in "$out"/deb/*.deb; do dpkg-deb -x "$package" "$out"; done
  rm -rf "$apt" "$out/deb" "$out"/usr/share/{doc,man,lintian}
  # Erlang knows where it was installed; here it asks the environment.
  sed -i 's|=/usr/lib/erlang$|=${SHARDCLUSTER_ERLANG:?}|' "$out"/usr/lib/erlang/bin/{erl,start}
}

NATS_DIRECTORY=$CACHE/nats-server-$(key "$NATS")
DEBIAN_DIRECTORY=$CACHE/brokers-$(key ../servers/build.sh "$SUITE")
add "$NATS_DIRECTORY" "compile nats-server $NATS" nats
add "$DEBIAN_DIRECTORY" "fetch Redis and RabbitMQ" debian
run_plan
printf 'NATS=%s\nDEBIAN=%s\n' "$NATS_DIRECTORY" "$DEBIAN_DIRECTORY"
