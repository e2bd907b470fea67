"""A lab's own key is made once, and its readers read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs
import pytest

from lab import keypair
from lab.command import CommandError


def test_it_is_made_once_and_its_private_half_is_its_owners_alone(tmp_path: Path) -> None:
    made = keypair.ensure(tmp_path / "ha")
    kind, key = made.split(" ")
    assert kind == "ssh-rsa" and len(key) > 300
    assert keypair.ensure(tmp_path / "ha") == made
    assert [file.name for file in (tmp_path / "ha").iterdir()] == ["ssh_key"]
    assert (tmp_path / "ha" / "ssh_key").stat().st_mode & 0o777 == 0o600
    assert keypair.ensure(tmp_path / "hb") != made


def test_one_whose_making_was_killed_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".ssh_key.new").write_text("half")
    (tmp_path / ".ssh_key.new.pub").write_text("half")
    assert keypair.ensure(tmp_path).startswith("ssh-rsa ")
    assert [file.name for file in tmp_path.iterdir()] == ["ssh_key"]


def test_a_damaged_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "ssh_key").write_text("no key")
    (tmp_path / "ssh_key").chmod(0o600)
    with pytest.raises(CommandError, match="ssh_key") as caught:
        keypair.ensure(tmp_path)
    assert "./inv destroy" in caught.value.hint


def test_vagrants_own_ssh_reads_it_and_logs_in_with_it(tmp_path: Path) -> None:
    needs.programs("vagrant", "ruby")
    public = keypair.ensure(tmp_path)
    # Logging in asks a key for its fingerprint, which not every kind has.
    read = "require 'net/ssh'; k = Net::SSH::KeyFactory.load_private_key(ARGV[0], nil, false); k.public_key.fingerprint"
    said = subprocess.run(
        ["ruby", "-e", f"{read}; puts k.public_key.ssh_type + ' ' + [k.public_key.to_blob].pack('m0')", "ssh_key"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.strip() == public
