#!/usr/bin/env bash
# haproxy from the distribution. Run as root, in a box's chroot or on a running machine; changes nothing when it is there.
set -euo pipefail
if ! dpkg-query --show --showformat '${db:Status-Status}' haproxy 2> /dev/null | grep -qx installed; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet update < /dev/null
  apt-get --quiet --yes --no-install-recommends install haproxy < /dev/null
fi
