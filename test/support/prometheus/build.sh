#!/bin/bash
# promtool, which checks and tests alerting rules, from Prometheus' Go module. Prints the directory it is in.
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

PROMETHEUS=0.316.0            # the library's number of release 3.16.0

# No "go install": the module has exclude directives, which that refuses. Without the service discoveries, which bring
# every cloud's SDK along and are three quarters of what there is to compile.
promtool() {
  local scratch; scratch=$(mktemp -d); trap "rm -rf '$scratch'" EXIT; cd "$scratch"
  go mod init example.test/scratch
  printf '//go:build tools\npackage tools\nimport _ "github.com/prometheus/prometheus/cmd/promtool"\n' > tools.go
  go get "github.com/prometheus/prometheus/cmd/promtool@v$PROMETHEUS"
  mkdir "$1"
  CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice -n "${SHARDCLUSTER_NICE:-10}" \
    go build -mod=mod -trimpath -tags remove_all_sd -ldflags '-s -w' -o "$1/promtool" github.com/prometheus/prometheus/cmd/promtool
}

DIRECTORY=$CACHE/promtool-$(key "$PROMETHEUS")
add "$DIRECTORY" "compile promtool" promtool
run_plan
echo "$DIRECTORY"
