# The kind node image: Debian, the files kind's own base image has, the binaries, the images preloaded.
NODE_KEY=$(key "$GO_KEY" "$PACKAGES" "$ROOTFS" images.sh node-image.sh crictl network.yaml)
NODE_IMAGE=shardcluster/kind-node:v$KUBERNETES-$NODE_KEY
plan_node_image() { add "$ENGINE/node-$NODE_KEY" "assemble the node image" node_image; }

node_image() {
  local stamp=$1 work root kind; work=$(mktemp -d -p "$CACHE"); root=$work/root; trap "rm -rf '$work'" EXIT
  kind=$(module_dir "sigs.k8s.io/kind@v$KIND"); mkdir "$work/images"
  cp -a "$ROOTFS" "$root"
  node_base_files; node_binaries; node_manifests; control_plane_images "$work/images"; node_containerd_config; preload_images
  tar -C "$root" --numeric-owner -c . | "$DOCKER" import \
    -c 'ENV container=docker' -c 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' - "$NODE_IMAGE"
  # Older node images, by tag; one that a kept cluster still runs on stays, the engine refuses to remove it.
  "$DOCKER" image ls --format '{{.Repository}}:{{.Tag}}' "${NODE_IMAGE%:*}" | grep -vx "$NODE_IMAGE" | xargs -r "$DOCKER" image rm || true
  rm -f "$ENGINE"/node-*; touch "$stamp"
}

node_base_files() {        # as images/base/Dockerfile of kind does it
  local file mode wants=lib/systemd/system
  (cd "$kind/images/base/files" && find . -type f ! -path './LICENSES/*') | while read -r file; do
    mode=0644; case $file in ./usr/local/bin/*|./kind/bin/*) mode=0755 ;; esac
    install -D -m $mode "$kind/images/base/files/$file" "$root/$file"
  done
  chmod 755 "$root/kind" "$root/kind/bin"
  rm -f "$root/$wants/sysinit.target.wants/systemd-tmpfiles-setup.service" "$root/$wants"/multi-user.target.wants/* \
    "$root"/etc/systemd/system/*.wants/* "$root/$wants"/local-fs.target.wants/* \
    "$root/$wants"/sockets.target.wants/*{udev,initctl}* "$root/$wants"/basic.target.wants/*
  echo "ReadKMsg=no" >> "$root/etc/systemd/journald.conf"
  ln -sf /usr/lib/systemd/systemd "$root/sbin/init"
  chroot "$root" systemctl enable kubelet containerd undo-mount-hacks
  chroot "$root" systemctl mask systemd-binfmt.service
}

node_binaries() {
  mkdir -p "$root"/{etc/kubernetes/manifests,kind/manifests,opt/cni/bin}
  install -m 755 "$PACKAGES"/node/usr/bin/{containerd,ctr,containerd-shim-runc-v2} "$here/crictl" "$root/usr/local/bin/"
  install -m 755 "$BIN"/{kubelet,kubectl,kubeadm} "$root/usr/bin/"
  mv "$root"/usr/lib/cni/{loopback,host-local,ptp,portmap,bridge} "$root/opt/cni/bin/"; rm -rf "$root/usr/lib/cni"
  printf %s "v$KUBERNETES" > "$root/kind/version"
  echo 'KUBELET_EXTRA_ARGS=--runtime-cgroups=/system.slice/containerd.service --fail-cgroupv1=false' > "$root/etc/default/kubelet"
}

node_manifests() {         # kind keeps its storage manifest in Go source; two image names are spliced into it
  local source=$kind/pkg/build/nodeimage/const_storage.go provisioner helper
  provisioner=$(sed -n 's/^const storageProvisionerImage = "\(.*\)"/\1/p' "$source")
  helper=$(sed -n 's/^const storageHelperImage = "\(.*\)"/\1/p' "$source")
  sed -n '/^const defaultStorageManifest = `/,/^`$/p' "$source" | sed '1d;$d' |
    sed "s#\` + storageProvisionerImage + \`#$provisioner#; s#\` + storageHelperImage + \`#$helper#" > "$root/kind/manifests/default-storage.yaml"
  ! grep -n '`' "$root/kind/manifests/default-storage.yaml"
  cp "$here/network.yaml" "$root/kind/manifests/default-cni.yaml"
  addon_images "$work/images" "$provisioner" "$helper"
}

node_containerd_config() {
  cat > "$root/etc/containerd/config.toml" <<C
version = 3
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  discard_unpacked_layers = true
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$(grep /pause: "$work/images/wanted")"
[plugins."io.containerd.cri.v1.runtime"]
  # without CAP_SYS_RESOURCE no oom score can be lowered, and runc would die trying
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = true
C
}

preload_images() {         # into a containerd whose root is the node's
  local bin=$PACKAGES/node/usr/bin state=$work/state socket=$work/state/socket pid archive
  mkdir -p "$root/var/lib/containerd" "$state"
  printf 'version = 3\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]\n[grpc]\n  address = "%s"\n' \
    "$root/var/lib/containerd" "$state/run" "$socket" > "$state/config.toml"
  "$bin/containerd" --config "$state/config.toml" > "$state/log" 2>&1 & pid=$!
  for _ in $(seq 100); do ! "$bin/ctr" --address "$socket" version > /dev/null 2>&1 || break; sleep .1; done
  for archive in "$work"/images/*.tar; do
    "$bin/ctr" --address "$socket" --namespace=k8s.io images import --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests "$archive" ||
      { tail -5 "$state/log"; kill $pid; return 1; }
  done
  kill $pid; wait $pid || true
}
