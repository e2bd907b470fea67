#!/usr/bin/env bash
# master3: the answerer makes room for the apiserver. Does nothing where there is none.
set -euo pipefail

if [ -e /etc/systemd/system/halab-answerer.service ]; then
  systemctl disable --quiet --now halab-answerer.service
  rm /etc/systemd/system/halab-answerer.service
  systemctl daemon-reload
fi
rm -rf /usr/local/lib/halab/answerer /var/lib/halab/answerer
