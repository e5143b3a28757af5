# What the kit needs of the machine: root, apt, and a few small packages, installed only when missing.
require_go() { command -v go > /dev/null || die "Go 1.21 or newer is needed to build Kubernetes: install it and put 'go' on PATH"; }

require_machine() {
  require_go
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the engine-less kind is made for Linux on x86_64; start a Docker engine instead"
  [ "$(id -u)" = 0 ] || die "root is needed to run a container engine; start a Docker engine and give this user access to it instead"
  command -v apt-get > /dev/null || die "a Debian-like machine (apt-get) is needed; start a Docker engine instead"
  local missing=() pair
  for pair in debootstrap:debootstrap iptables:iptables runc:runc ip:iproute2 gcc:gcc nsenter:util-linux flock:util-linux; do
    command -v "${pair%:*}" > /dev/null || missing+=("${pair#*:}")
  done
  [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
  [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

install_packages() {
  echo "installing ${*}" >&2
  local lock; exec {lock}> "$CACHE/lock/apt"; flock $lock
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@"; } \
    > "$CACHE/log/apt" 2>&1 < /dev/null || { tail -15 "$CACHE/log/apt" >&2; die "apt-get install $* failed; the whole log is $CACHE/log/apt"; }
  exec {lock}>&-
}
