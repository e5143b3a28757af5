#!/bin/bash
# The CRDs of the Prometheus operator that the chart makes objects of, from its Go module. Prints their directory.
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

OPERATOR=0.85.0
KINDS=(podmonitors prometheusrules servicemonitors)

crds() {
  local scratch; scratch=$(mktemp -d); trap "rm -rf '$scratch'" EXIT; cd "$scratch"
  local module=github.com/prometheus-operator/prometheus-operator source
  go mod init example.test/scratch
  go mod download "$module@v$OPERATOR"
  source=$(go env GOMODCACHE)/$module@v$OPERATOR/example/prometheus-operator-crd
  mkdir "$1"
  for kind in "${KINDS[@]}"; do install -m 644 "$source/monitoring.coreos.com_$kind.yaml" "$1"; done
}

DIRECTORY=$CACHE/prometheus-crds-$(key "$OPERATOR" "${KINDS[*]}")
add "$DIRECTORY" "fetch the CRDs of the Prometheus operator $OPERATOR" crds
run_plan
echo "$DIRECTORY"
