"""A path as the languages of files and programs want it written, and read back from one of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape

#: What separates fields in fstab(5), and the character that escapes: all that getmntent(3) knows an escape for.
_IN_TABLES = re.compile(r"[ \t\n\\]")

#: What needs no quotes in ssh_config(5).
_PLAIN = re.compile(r"[\w%+,./:@-]+")

#: What sh(1) reads as itself when a backslash stands before it. (A newline is no such character, nor a path's.)
_NOT_PLAIN = re.compile(r"[^\w@%+=:,./-]")

_OCTAL = re.compile(r"\\([0-7]{3})")


def fstab(path: str) -> str:
    """A field of fstab(5), such as LXC's mount entries: separators as three octal digits (getmntent(3))."""
    return _IN_TABLES.sub(lambda match: f"\\{ord(match[0]):03o}", path)


def from_mountinfo(field: str) -> str:
    """A field of /proc/PID/mountinfo as it was before the kernel wrote it: \\040 is a space (proc(5))."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def shell(words: Iterable[str]) -> str:
    """A command line of sh(1) without quotes, for LXC, which takes those at both ends of a setting away (confile.c)."""
    return " ".join(_NOT_PLAIN.sub(r"\\\g<0>", word) for word in words)


def ruby(text: str) -> str:
    """A literal of Ruby in double quotes, nothing in which is replaced by Ruby (#{…}, #$…, #@…)."""
    return '"' + re.sub(r'[\\"#]', lambda match: f"\\{match[0]}", text) + '"'


def ruby_bytes(text: str) -> str:
    """The same for what is joined to bytes that were read (as vagrant-lxc does): Ruby mixes them with ASCII only."""
    return ruby(text) if text.isascii() else f"{ruby(text)}.b"


def ssh_config(path: str) -> str:
    """An argument of ssh_config(5) in which ssh replaces nothing: quoted where it must be, % begins no token."""
    text = path.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'[\\"]', lambda match: f"\\{match[0]}", text) + '"'


def xml(text: str) -> str:
    """Text of an element of XML, for vagrant-libvirt, which puts settings into libvirt's description as they are."""
    return escape(text)
