"""A path in another language's words means that path there: judged by the programs that read them."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import needs
import pytest
from ruamel.yaml import YAML

from lab import quoting
from lab.definition import parse
from lab.identity import Identity
from lab.plan import render
from lab.plan.site import ContainerSite, Seed, VirtualSite
from lab.providers.vagrant import ssh_defaults
from lab.topology import derive
from lab.usage import mounted_by

#: What a person may call a folder.
NAMES = [
    "/plain/a-b_c.d",
    "/mein Läb",
    "/日本 lab",
    "/o'brien",
    '/the "real" one',
    '"/quoted at both ends"',
    "'/and like this'",
    "/100%/%h %C",
    "/$HOME/${HOME}/`id`",
    "/#{1 + 1}/#$0/#@x",
    "/back\\slash\\040",
    "/tab\there",
    "/*?[a]/~/!/&&;|<>()",
    "/two  spaces / at the end ",
]

#: What the shell and ssh cannot be given: see lab.requirements.paths.
LINES = "/two\nlines"


class Entry(ctypes.Structure):
    """struct mntent (getmntent(3)), the fields that are needed here."""

    _fields_ = (("source", ctypes.c_char_p), ("place", ctypes.c_char_p), ("kind", ctypes.c_char_p))


def mount_entry(line: str, folder: Path) -> tuple[str, ...]:
    """The first fields of a line of fstab(5) as the C library reads it, and with it LXC."""
    (folder / "fstab").write_text(line + "\n")
    libc = ctypes.CDLL(None)
    libc.setmntent.restype, libc.getmntent.restype = ctypes.c_void_p, ctypes.POINTER(Entry)
    file = libc.setmntent(str(folder / "fstab").encode(), b"r")
    entry = libc.getmntent(ctypes.c_void_p(file)).contents
    found = tuple(field.decode() for field in (entry.source, entry.place, entry.kind))
    libc.endmntent(ctypes.c_void_p(file))
    return found


def in_ruby(literal: str) -> str:
    """What a literal is in Ruby."""
    needs.programs("ruby")
    printed = subprocess.run(["ruby", "-e", f"print({literal})"], capture_output=True, check=True, timeout=30)
    return printed.stdout.decode()


@pytest.mark.parametrize("name", [*NAMES, LINES])
class TestEachName:
    """Written by us, read by them."""

    def test_in_yaml(self, name: str) -> None:
        literal = quoting.yaml(name)
        assert YAML(typ="safe", pure=True).load(f"x: {literal}") == {"x": name}
        # And so it does where a shell has filled a here-document in.
        filled = subprocess.run(
            ["bash", "-c", f"cat <<EOF\n{literal}\nEOF\n"], capture_output=True, text=True, check=True, timeout=30
        )
        assert filled.stdout == f"{literal}\n"

    def test_in_the_configuration_of_haproxy(self, name: str) -> None:
        """It names the file that it does not find as it has understood it."""
        needs.programs("haproxy")
        config = f"defaults\n  errorfile 503 {quoting.haproxy(name)}\n"
        judged = subprocess.run(
            [shutil.which("haproxy") or "/usr/sbin/haproxy", "-c", "-f", "/dev/stdin"],
            input=config, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert f"error opening file '{name}'" in judged.stderr

    def test_in_a_table_of_mounts(self, name: str, tmp_path: Path) -> None:
        assert mount_entry(f"{quoting.fstab(name)} opt/payload none ro,bind 0 0", tmp_path)[:2] == (name, "opt/payload")

    def test_in_ruby(self, name: str) -> None:
        assert in_ruby(quoting.ruby(name)) == name
        assert in_ruby(quoting.ruby_bytes(name)) == name

    def test_as_bytes_in_ruby_it_can_be_joined_to_bytes(self, name: str) -> None:
        assert in_ruby(f'"ä".b + "x=#{{{quoting.ruby_bytes(name)}}}"') == f"äx={name}"


@pytest.mark.parametrize("name", NAMES)
def test_in_a_shell_without_quotes(name: str) -> None:
    command = quoting.shell(["printf", "%s|%s", name, f"{name}/x"])
    assert re.match(r"""['"]""", command) is None, "LXC would take quotes at both ends away"
    said = subprocess.run(["sh", "-c", f"exec {command}"], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout == f"{name}|{name}/x"


@pytest.mark.parametrize("name", [name for name in NAMES if "${" not in name])
def test_in_the_configuration_of_ssh(name: str, tmp_path: Path) -> None:
    """ControlPath knows the same tokens as IdentityFile, and is shown with them replaced."""
    needs.programs("ssh")
    (tmp_path / "config").write_text(f"Host m1\n  ControlPath {quoting.ssh_config(name)}\n{ssh_defaults(Path(name))}")
    shown = subprocess.run(
        ["ssh", "-G", "-F", str(tmp_path / "config"), "m1"], capture_output=True, text=True, check=True, timeout=30
    )
    found = dict(line.split(" ", 1) for line in shown.stdout.splitlines() if " " in line)
    assert found["controlpath"] == name
    assert found["identityfile"].replace("%%", "%") == name


def test_a_line_that_ssh_would_read_as_two_is_no_way_to_a_machine() -> None:
    assert quoting.proxy_command(["-p", "22", "--", "me@far"]) == "ssh -W %h:%p -p 22 -- me@far"
    for host in ("far\n  LocalCommand x", "far\0"):
        with pytest.raises(ValueError, match="no way for ssh"):
            quoting.proxy_command(["--", host])


def test_ruby_is_given_one_line_whatever_is_written() -> None:
    text = "".join(map(chr, range(0x180)))
    assert "\n" not in quoting.ruby(text)
    assert in_ruby(quoting.ruby(text)) == text


def test_a_plain_path_stays_readable() -> None:
    assert quoting.ssh_config("/root/lab/.lab/ha/vagrant/key") == "/root/lab/.lab/ha/vagrant/key"
    assert quoting.ruby("file:///x") == quoting.ruby_bytes("file:///x") == '"file:///x"'
    assert quoting.shell(["/x/lxc-seed", "/x/seed"]) == "/x/lxc-seed /x/seed"


@needs.root
@pytest.mark.parametrize("name", ["mein Läb", "tab\tback\\slash #x", "two\nlines"])
def test_who_uses_a_folder_is_found_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    """A real mount in a namespace of its own, as the kernel shows it."""
    used, other = tmp_path / name / "box", tmp_path / name / "other"
    for folder in (used, other, tmp_path / "place"):
        folder.mkdir(parents=True)
    script = 'mount --bind "$1" "$2" && echo mounted && read -r _'
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(used), str(tmp_path / "place")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == "mounted\n"
        assert str(holder.pid) in mounted_by(used)
        assert mounted_by(other) == ""
    finally:
        holder.communicate("end\n", timeout=30)


def test_libvirt_finds_the_emulator_of_a_clone_with_any_name() -> None:
    emulator = """/mein "Läb" #{1} <a> & 'b'/emulator.sh"""
    site = VirtualSite(Identity("ha", Path("/x")), "qemu", "private", emulator=Path(emulator))
    text = render(derive(parse("nodes: [{name: m1, role: master}]"), site.driver), site)["Vagrantfile"].content
    literal = re.search(r"libvirt\.emulator_path = (.*)$", text, re.MULTILINE)
    assert literal is not None
    assert ElementTree.fromstring(f"<emulator>{in_ruby(literal[1])}</emulator>").text == emulator


CACHE = "/mnt/mein \"Cäche\" #{1} 'x'"


def customized(key: str) -> str:
    """What a containers' Vagrantfile gives LXC under this name, read by Ruby."""
    cache = Path(CACHE)
    seed = Seed(cache / "lxc-seed", cache / "seed")
    site = ContainerSite(Identity("ha", Path("/x")), payload=cache / "payload", seed=seed)
    text = render(derive(parse("nodes: [{name: m1, role: master}]"), site.driver), site)["Vagrantfile"].content
    literal = re.search(rf'lxc\.customize "{key}", (.*)$', text, re.MULTILINE)
    assert literal is not None
    return in_ruby(literal[1])


def test_a_machine_finds_kubernetes_in_a_cache_with_any_name(tmp_path: Path) -> None:
    source, place, _ = mount_entry(customized("mount.entry"), tmp_path)
    assert (source, place) == (f"{CACHE}/payload", "opt/payload")


def test_a_machine_gets_its_images_from_a_cache_with_any_name() -> None:
    hook = customized("hook.pre-start")
    said = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {hook}"], capture_output=True, text=True, check=True, timeout=30
    )
    assert said.stdout.splitlines() == [f"{CACHE}/lxc-seed", f"{CACHE}/seed"]
