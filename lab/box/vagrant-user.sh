#!/usr/bin/env bash
# The user that Vagrant logs in as, with sudo and no password. Whom it lets in, each lab says: the box lets in nobody.
set -euo pipefail

id vagrant > /dev/null 2>&1 || useradd --create-home --shell /bin/bash vagrant
install -d -m 0700 -o vagrant -g vagrant /home/vagrant/.ssh
printf 'Defaults !fqdn, !lecture, !requiretty\nvagrant ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/vagrant
chmod 0440 /etc/sudoers.d/vagrant
