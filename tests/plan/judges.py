"""The services' own programs as judges of what is rendered, each in a network of its own so that nothing is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import needs
import pytest

#: Both interfaces that a lab may use, and /run and /etc/keepalived of its own, as on a machine.
NAMESPACE = """
set -euo pipefail
for name in eth0 eth1; do ip link add "$name" type bridge; ip link set "$name" up; done
ip link set lo up
mount -t proc none /proc
mount -t tmpfs none /run; mkdir /run/halab /run/haproxy /run/package
# Since 2.3 (Debian 13) keepalived says nothing good without this file of its package.
find /etc/keepalived -name '*.config-opts' -exec cp {} /run/package/ ';'
mount -t tmpfs none /etc/keepalived
mount -t tmpfs none /var/lib/haproxy
"""

KEEPALIVED = """
for folder in "$1"/*/; do
  rm -f /etc/keepalived/*
  find /run/package -type f -exec cp {} /etc/keepalived/ ';'
  find "$folder" -name 'haproxy-*' -exec install -m 0755 {} /etc/keepalived/ ';'
  status=0
  said=$(keepalived --config-test --use-file "$folder/keepalived.conf" 2>&1) || status=$?
  [ "$status" = 0 ] && [ -z "$said" ] || echo "$(basename "$folder"): status $status: $said"
done
"""


def in_namespace(script: str, *args: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a bash script in a network and mount namespace of its own; a user who may not skips the test."""
    needs.programs("unshare", "ip")
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    enter = ["unshare", *root, "--net", "--mount", "--pid", "--fork", "--kill-child"]
    tried = subprocess.run([*enter, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        if os.geteuid() == 0:
            pytest.fail(f"root makes no namespaces here, so nothing was judged: {tried.stderr}", pytrace=False)
        # Some hosts leave namespaces to root alone: a right that this user was not given (see needs).
        pytest.skip("this user may make no namespaces")
    return subprocess.run(
        [*enter, "bash", "-c", NAMESPACE + script, "bash", *args],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )


def haproxy(config: str) -> str:
    """What ``haproxy -c`` has against a configuration, warnings included; "" when it has nothing."""
    needs.programs("haproxy")
    done = subprocess.run(
        ["haproxy", "-c", "-f", "/dev/stdin"],
        input=config,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )
    return f"status {done.returncode}: {done.stderr}{done.stdout}" if done.returncode or done.stderr else ""


def keepalived(nodes: Mapping[str, Mapping[str, str]], folder: Path) -> str:
    """What ``keepalived -t`` has against the nodes' files (name → file → text), on an interface that exists."""
    needs.programs("keepalived")
    for node, files in nodes.items():
        (folder / node).mkdir(parents=True)
        for name, text in files.items():
            (folder / node / name).write_text(text)
    done = in_namespace(KEEPALIVED, str(folder))
    return (
        f"{done.stdout}{done.stderr}"
        if done.returncode == 0
        else f"status {done.returncode}: {done.stdout}{done.stderr}"
    )


def vagrant(folder: Path, provider: str) -> str:
    """What ``vagrant validate``, with the real plugin, has against the Vagrantfile of a folder; "" if nothing."""
    needs.programs("vagrant")
    env = {**os.environ, "VAGRANT_HOME": str(folder / "home"), "VAGRANT_DEFAULT_PROVIDER": provider}
    done = subprocess.run(
        ["vagrant", "validate"], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    return f"status {done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""


def shellcheck(files: list[Path]) -> str:
    """What shellcheck has against scripts; "" when it has nothing."""
    needs.programs("shellcheck")
    # SC2015: `[ … ] && [ … ] || …` is an idiom of the scripts here, with tests alone before the last part.
    command = ["shellcheck", "--shell=bash", "--exclude=SC2015", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
