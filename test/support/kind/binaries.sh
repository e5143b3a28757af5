# Kubernetes, etcd, CoreDNS, kind and helm from Go modules.
GO_KEY=$(key binaries.sh "$KUBERNETES $ETCD $COREDNS $KIND $HELM $LOCAL_PATH_PROVISIONER")
BIN=$CACHE/bin-$GO_KEY
# What an API server alone needs comes first, helm next: tests that need no pods start while the rest compiles.
BINARIES=(kube-apiserver etcd kubectl helm kubeadm kube-controller-manager kube-scheduler kubelet kube-proxy
  local-path-provisioner coredns kind)

plan_binaries() {
  local name
  for name; do
    case $name in
      helm|kind|etcd|coredns) add "$BIN/$name" "build $name" "build_$name" ;;
      *) add "$CACHE/kube-$GO_KEY" "download Kubernetes $KUBERNETES" kube_module
         add "$BIN/$name" "build $name" build_kube "$name" ;;
    esac
  done
}

gobuild() {
  CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice -n "${SHARDCLUSTER_NICE:-10}" \
    go build -mod=mod -trimpath -ldflags "-s -w ${flags:-}" "$@"
}
module_dir() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }

# k8s.io/kubernetes is no library: its go.mod replaces every staging module by a directory that the module does not
# contain. This module replaces them by their published versions instead.
kube_module() {
  mkdir "$1"; cd "$1"
  local source; source=$(module_dir "k8s.io/kubernetes@v$KUBERNETES")
  go mod init example.test/kube
  go mod edit -require="k8s.io/kubernetes@v$KUBERNETES" -require="github.com/rancher/local-path-provisioner@v$LOCAL_PATH_PROVISIONER" \
    $(grep -oE 'k8s.io/[a-z0-9-]+ => ./staging' "$source/go.mod" | cut -d' ' -f1 | sort -u | sed "s#.*#-replace=&=&@v$STAGING#")
  printf '//go:build tools\npackage tools\nimport (\n _ "k8s.io/kubernetes/cmd/kubeadm"\n _ "github.com/rancher/local-path-provisioner"\n)\n' > tools.go
  go mod download k8s.io/kubernetes
}

build_kube() {
  local name=$1 out=$2 version=k8s.io/component-base/version flags package=k8s.io/kubernetes/cmd/$1
  [ "$name" != local-path-provisioner ] || package=github.com/rancher/local-path-provisioner
  flags="-X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=${STAGING:2:2}"
  flags+=" -X k8s.io/client-go/pkg/version.gitVersion=v$KUBERNETES"
  cd "$CACHE/kube-$GO_KEY"; gobuild -o "$out" "$package"
}

scratch_module() {   # an empty module in a directory that goes away with this step's subshell
  local scratch; scratch=$(mktemp -d); trap "rm -rf '$scratch'" EXIT; cd "$scratch"
  go mod init example.test/scratch
}

build_etcd() {
  scratch_module
  printf '//go:build tools\npackage tools\nimport _ "go.etcd.io/etcd/server/v3"\n' > tools.go
  go get "go.etcd.io/etcd/server/v3@v$ETCD"; gobuild -o "$1" go.etcd.io/etcd/server/v3
}

build_coredns() {    # only the plugins that kubeadm configures: 40 s less to compile
  scratch_module
  local c=github.com/coredns/coredns plugin
  go mod edit $(sed -nE 's#^(replace|\t)? *(k8s.io/\S+) => (\S+) (\S+)#-replace=\2=\3@\4#p' "$CACHE/kube-$GO_KEY/go.mod")
  { printf 'package main\nimport (\n "%s/core/dnsserver"\n "%s/coremain"\n' $c $c
    for plugin in cache errors forward health kubernetes loadbalance log loop metrics ready reload; do echo " _ \"$c/plugin/$plugin\""; done
    printf ')\nfunc main() {\n dnsserver.Directives = []string{"reload", "ready", "health", "prometheus", "errors", "log", "loadbalance", "cache", "kubernetes", "loop", "forward"}\n coremain.Run()\n}\n'
  } > main.go
  go get "$c@v$COREDNS"; gobuild -o "$1" .
}

go_install() {       # go_install RESULT PACKAGE@VERSION
  local dir=$1.dir; rm -rf "$dir"; mkdir "$dir"
  CGO_ENABLED=0 GOBIN=$dir nice -n "${SHARDCLUSTER_NICE:-10}" go install -trimpath -ldflags '-s -w' "$2"
  mv "$dir"/* "$1"; rmdir "$dir"
}
build_kind() { go_install "$1" "sigs.k8s.io/kind@v$KIND"; }
build_helm() { go_install "$1" "helm.sh/helm/v4/cmd/helm@v$HELM"; }
