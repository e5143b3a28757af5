# What every script of the kit shares: where results live, how a step is keyed, locked and shown.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/versions.env"

CACHE=${SHARDCLUSTER_CACHE:-${HOME:?}/.cache/shardcluster}
mkdir -p "$CACHE"/{lock,log,clusters}
CACHE=$(cd "$CACHE" && pwd)
ENGINE=$CACHE/engine
STAGING=0.${KUBERNETES#1.}

die() { printf 'kind kit: %s\n' "$*" >&2; exit 1; }
[[ $CACHE != *[[:space:]]* ]] || die "the cache path must have no spaces: '$CACHE' (set SHARDCLUSTER_CACHE)"
[ ${#CACHE} -lt 80 ] || die "the cache path is too long for a unix socket: '$CACHE' (set SHARDCLUSTER_CACHE)"

# The key of a result: its inputs, by content. Names of files of this directory, or literal words.
key() {
  local input
  for input; do if [ -f "$here/$input" ]; then cat "$here/$input"; else echo "$input"; fi; done | sha256sum | cut -c1-12
}

# The plan: what a command needs, in order. A step makes one file or directory and is skipped when that exists.
plan=()
add() {   # add RESULT LABEL FUNCTION [ARGUMENT...]
  local entry=$1$'\t'$2$'\t'${*:3} planned
  for planned in "${plan[@]}"; do [ "$planned" != "$entry" ] || return 0; done
  plan+=("$entry")
}

run_plan() {
  local entry result label action missing=() number=0
  for entry in "${plan[@]}"; do [ -e "${entry%%$'\t'*}" ] || missing+=("$entry"); done
  for entry in "${missing[@]}"; do
    IFS=$'\t' read -r result label action <<< "$entry"
    number=$((number + 1))
    step "$number/${#missing[@]}" "$result" "$label" "$action"
  done
  plan=()
}

# Builds under a temporary name and renames, so that an interrupted build leaves nothing that looks finished; under
# a lock of its own, so that of two runs one builds and the other waits, while both go on with other steps.
step() {
  local position=$1 result=$2 label=$3 action=$4 name lock started=$SECONDS
  name=${result##*/}
  exec {lock}> "$CACHE/lock/$name"
  if ! flock --nonblock $lock; then
    show "$position" "$label (being built already, waiting)"; flock $lock
  fi
  if [ ! -e "$result" ]; then
    ticker_start "$position" "$label"
    rm -rf "$result.tmp"; mkdir -p "${result%/*}"
    local status
    # not "if ! ( ... )": inside a condition bash ignores set -e, and a failed command would go unnoticed
    set +e; ( set -e; $action "$result.tmp" ) > "$CACHE/log/$name" 2>&1 < /dev/null; status=$?; set -e
    if [ $status != 0 ]; then
      ticker_stop; tail -15 "$CACHE/log/$name" >&2
      die "'$label' failed; the whole log is $CACHE/log/$name"
    fi
    mv -T "$result.tmp" "$result"
    ticker_stop
    show "$position" "$label: done in $((SECONDS - started)) s"
  fi
  exec {lock}>&-
}

# One line on a terminal that counts the seconds; elsewhere a line at the start of a step and every 30 s.
show() { [ ! -t 2 ] || printf '\r\033[K' >&2; printf '[%s] %4d s  %s\n' "$1" $SECONDS "$2" >&2; }
ticker=
at_exit=true
trap 'ticker_stop; $at_exit' EXIT
ticker_start() {
  [ -t 2 ] || show "$1" "$2"
  ( trap - EXIT; began=$SECONDS; next=30
    while sleep 1; do
      if [ -t 2 ]; then printf '\r\033[K[%s] %4d s  %s ... %d s' "$1" $SECONDS "$2" $((SECONDS - began)) >&2
      elif (( SECONDS - began >= next )); then show "$1" "$2 ... $((SECONDS - began)) s"; next=$((next + 30)); fi
    done ) & ticker=$!
}
ticker_stop() { [ -z "$ticker" ] || { kill "$ticker" 2> /dev/null; wait "$ticker" 2> /dev/null || true; ticker=; }; }

# The Debian mirror this machine already uses.
mirror() {
  local site=${SHARDCLUSTER_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' | head -1)}
  [ -n "$site" ] || { echo "no Debian mirror is configured: set SHARDCLUSTER_DEBIAN_MIRROR" >&2; return 1; }
  echo "$site"
}
