# The images kubeadm wants, packed from the binaries; no engine and no registry is involved.

# pack OUT NAME DIRECTORY [ENTRYPOINT]: one layer, docker-archive layout. Times and owner are fixed, so that the same
# files always make the same image id.
pack() {
  local out=$1 name=$2 dir=$3 entrypoint=${4:+,\"Entrypoint\":[\"$4\"]} work config
  work=$(mktemp -d)
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$dir" -cf "$work/layer.tar" .
  printf '{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$entrypoint" "$(sha256sum < "$work/layer.tar" | cut -d' ' -f1)" > "$work/config"
  config=$(sha256sum < "$work/config" | cut -d' ' -f1).json; mv "$work/config" "$work/$config"
  printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$name" > "$work/manifest.json"
  tar -C "$work" -cf "$out" "$config" manifest.json layer.tar; rm -rf "$work"
}

wanted() { sed -n "\#/$1:#p" "$WANTED"; }

control_plane_images() {   # control_plane_images OUT
  local out=$1 work name; work=$(mktemp -d); WANTED=$work/wanted
  "$BIN/kubeadm" config images list --kubernetes-version "v$KUBERNETES" 2> /dev/null > "$WANTED"
  for name in "etcd:$ETCD-" "coredns:v$COREDNS" "pause:$PAUSE"; do
    grep -q "/$name" "$WANTED" || { echo "versions.env says $name, kubeadm $KUBERNETES wants:"; cat "$WANTED"; return 1; }
  done
  for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
    mkdir -p "$work/$name/usr/local/bin" "$work/$name/tmp"; cp "$BIN/$name" "$work/$name/usr/local/bin/"
    pack "$out/$name.tar" "$(wanted $name)" "$work/$name"
  done
  mkdir "$work/coredns"; cp "$BIN/coredns" "$work/coredns/"
  pack "$out/coredns.tar" "$(wanted coredns)" "$work/coredns" /coredns
  pause_binary "$work/pause"; pack "$out/pause.tar" "$(wanted pause)" "$work/pause" /pause
  kube_proxy_files "$work/kube-proxy"; pack "$out/kube-proxy.tar" "$(wanted kube-proxy)" "$work/kube-proxy"
  cp "$WANTED" "$out/wanted"; rm -rf "$work"
}

pause_binary() {           # waits for signals and reaps children
  mkdir "$1"; gcc -Os -static -s -x c -o "$1/pause" - <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void die(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) ; }
int main(void) { signal(SIGINT, die); signal(SIGTERM, die); signal(SIGCHLD, reap); for (;;) pause(); }
C
}

# The packet filter tools and their libraries. The xtables modules need more than the main binary does (libm): a
# missing one shows only when a service gets its second endpoint.
kube_proxy_files() {
  local out=$1 lib=usr/lib/x86_64-linux-gnu name suffix path
  mkdir -p "$out"/{usr/sbin,usr/bin,usr/local/bin,"$lib",usr/lib64,run,tmp,etc}
  for name in sbin bin lib lib64; do ln -s "usr/$name" "$out/$name"; done
  cp "$BIN/kube-proxy" "$out/usr/local/bin/"; cp "$ROOTFS"/usr/sbin/{xtables-nft-multi,nft,conntrack} "$out/usr/sbin/"
  for name in iptables ip6tables; do for suffix in "" -save -restore; do ln -s xtables-nft-multi "$out/usr/sbin/$name$suffix"; done; done
  cp -a "$ROOTFS/$lib/xtables" "$out/$lib/"
  chroot "$ROOTFS" sh -c "ldd /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack /$lib/xtables/*.so" |
    grep -oE '/[^ ]+\.so[^ :]*( |$)' | sort -u | grep -v /xtables/ | while read -r path; do
      cp -L "$ROOTFS$path" "$out/$(chroot "$ROOTFS" readlink -f "$(dirname "$path")")/"; done
}

addon_images() {           # addon_images OUT PROVISIONER_NAME HELPER_NAME: storage, and the network agent of network.yaml
  local out=$1 work busybox=$PACKAGES/busybox/bin/busybox name; work=$(mktemp -d)
  mkdir -p "$work"/{storage/usr/local/bin,helper/bin,routes/bin,routes/tmp}
  cp "$BIN/local-path-provisioner" "$work/storage/usr/local/bin/"; cp "$busybox" "$work/helper/bin/"; cp "$busybox" "$BIN/kubectl" "$work/routes/bin/"
  for name in sh mkdir rm chmod ls cat; do ln -s busybox "$work/helper/bin/$name"; done
  for name in sh ip sleep cat mv cmp mkdir; do ln -s busybox "$work/routes/bin/$name"; done
  pack "$out/storage.tar" "$2" "$work/storage"; pack "$out/helper.tar" "$3" "$work/helper"
  pack "$out/routes.tar" localhost/kind-routes:1 "$work/routes"; rm -rf "$work"
}
