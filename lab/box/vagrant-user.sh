#!/usr/bin/env bash
# The user that Vagrant logs in as: its well-known key (lab/box/vagrant.pub on standard input), sudo without a password.
set -euo pipefail

id vagrant > /dev/null 2>&1 || useradd --create-home --shell /bin/bash vagrant
install -d -m 0700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 0600 -o vagrant -g vagrant "${1:?the file with the public key}" /home/vagrant/.ssh/authorized_keys
printf 'Defaults !fqdn, !lecture, !requiretty\nvagrant ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/vagrant
chmod 0440 /etc/sudoers.d/vagrant
