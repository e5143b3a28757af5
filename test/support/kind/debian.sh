# The engine, the node's file system and the base of the project's image, from Debian packages.
PACKAGES=$CACHE/debian-$(key debian.sh "$NODE_SUITE" "$CONTAINERD_SUITE")
ROOTFS=$CACHE/rootfs-$(key debian.sh "$NODE_SUITE")
BASEFS=$CACHE/basefs-$(key debian.sh "$BASE_SUITE")

plan_packages() { add "$PACKAGES" "fetch the container engine" fetch_packages; }
plan_rootfs() { add "$ROOTFS" "node file system (Debian $NODE_SUITE)" node_rootfs; }
plan_basefs() { add "$BASEFS" "image base (Debian $BASE_SUITE)" base_rootfs; }

# Unpacked, never installed: installing would start the engine in the machine's own network.
fetch_packages() {
  local site out=$1 name apt; site=$(mirror); apt=$out/apt
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial} "$out"/{engine,node,busybox,deb/node}
  printf "deb $site %s main\n" "$NODE_SUITE" "$CONTAINERD_SUITE" > "$apt/list"
  local options=(-qq -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/list"
    -o Dir::Etc::sourceparts=- -o Acquire::Languages=none -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$out/deb" && apt-get "${options[@]}" download {docker.io,containerd,tini,busybox-static}/"$NODE_SUITE")
  (cd "$out/deb/node" && apt-get "${options[@]}" download "containerd/$CONTAINERD_SUITE")
  for name in docker.io containerd tini; do dpkg-deb -x "$out"/deb/${name}_*.deb "$out/engine"; done
  dpkg-deb -x "$out"/deb/busybox-static_*.deb "$out/busybox"
  dpkg-deb -x "$out"/deb/node/containerd_*.deb "$out/node"
  rm -rf "$apt" "$out/deb"
}

node_rootfs() {
  nice -n "${SHARDCLUSTER_NICE:-10}" debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,conntrack,iptables,nftables,iproute2,ethtool,kmod,procps,jq,ca-certificates,runc,containernetworking-plugins,socat \
    "$NODE_SUITE" "$1" "$(mirror)"
  slim "$1"
}

base_rootfs() {
  nice -n "${SHARDCLUSTER_NICE:-10}" debootstrap --variant=minbase --include=libstdc++6 "$BASE_SUITE" "$1" "$(mirror)"
  slim "$1"
}

slim() { rm -rf "$1"/usr/share/{doc,man,locale,info}/* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/tmp/*; }
