"""Virtual machines let in who has the lab's own key: others than root may reach them, and all have Vagrant's."""

from __future__ import annotations

import os
import subprocess
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import needs
import pytest
from test_vagrantfile import SITES

from lab import keypair
from lab.definition import parse
from lab.plan import render
from lab.plan.virtual import virtual_of
from lab.providers import libvirt
from lab.topology import derive

KEY = "ssh-rsa AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA+/="
OTHER = "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr well known"
HOME = "home/vagrant/.ssh"


def identities(kind: str, ssh_key: str = KEY) -> list[str]:
    """The keys that ssh offers the machines of a kind of lab, below the lab's folder."""
    text, site = SITES[kind]
    site = replace(site, ssh_key=ssh_key)
    told = libvirt.make(site, derive(parse(text), site.driver)).ssh_config()
    found = [line.split()[1] for line in told.splitlines() if "IdentityFile" in line]
    return [str(Path(file).relative_to(site.identity.state)) for file in found]


def test_ssh_offers_the_labs_own_key_and_vagrants_to_a_public_box_alone() -> None:
    assert identities("kvm") == identities("remote") == ["ssh_key"]
    assert identities("public") == ["ssh_key", "vagrant/insecure_private_key"]
    assert identities("kvm", ssh_key="") == ["vagrant/insecure_private_key"], "a lab of an earlier version"


@needs.root
@pytest.mark.parametrize("before", ["", OTHER])
def test_what_the_hypervisor_tells_a_machine_is_the_one_key_that_it_lets_in(before: str, tmp_path: Path) -> None:
    """By systemd's own program, in a root of its own: at a first start, and with the key that a public box brings."""
    needs.programs("systemd-tmpfiles")
    text, site = SITES["kvm"]
    virtual = virtual_of(derive(parse(text), ""), replace(site, ssh_key=KEY))
    assert virtual is not None
    name, _, value = virtual.credential.partition("=")
    assert name == "io.systemd.credential.binary:tmpfiles.extra"
    for folder in ("etc", HOME, "credentials"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nvagrant:x:1234:1235::/home/vagrant:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nvagrant:x:1235:\n")
    (tmp_path / "credentials" / "tmpfiles.extra").write_bytes(b64decode(value, validate=True))
    keys = tmp_path / HOME / "authorized_keys"
    if before:
        keys.write_text(before)
    for path in (keys, keys.parent, keys.parent.parent):
        if path.exists():
            os.chown(path, 1234, 1235)
    done = subprocess.run(
        ["systemd-tmpfiles", "--create", "--boot", f"--root={tmp_path}"],
        env={**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert keys.read_text() == f"{KEY}\n"
    about = keys.stat()
    assert (about.st_mode & 0o777, about.st_uid, about.st_gid) == (0o600, 1234, 1235)


def test_a_public_boxs_own_key_is_replaced_by_the_first_step() -> None:
    for kind, replaced in (("public", True), ("kvm", False)):
        text, site = SITES[kind]
        files = render(derive(parse(text), site.driver), replace(site, ssh_key=KEY), vagrantfile=False)
        assert (f"authorized_keys 0600 <<'EOF'\n{KEY}\nEOF\n" in files["nodes/worker1/node.sh"].content) == replaced


def test_the_vagrantfile_names_the_file_that_is_made() -> None:
    assert keypair.FILE == "ssh_key"
