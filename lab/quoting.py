"""A text as the languages of files and programs want it written, and read back from one of them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
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
    """A literal of Ruby in double quotes, on one line, nothing in which is replaced by Ruby (#{…}, #$…, #@…)."""
    quoted = re.sub(r'[\\"#]', lambda match: f"\\{match[0]}", text)
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", quoted) + '"'


def ruby_bytes(text: str) -> str:
    """The same for what is joined to bytes that were read (as vagrant-lxc does): Ruby mixes them with ASCII only."""
    return ruby(text) if text.isascii() else f"{ruby(text)}.b"


def ssh_config(path: str) -> str:
    """An argument of ssh_config(5) in which ssh replaces nothing: quoted where it must be, % begins no token."""
    text = path.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'[\\"]', lambda match: f"\\{match[0]}", text) + '"'


def proxy_command(jump: Sequence[str]) -> str:
    """The value of ProxyCommand (ssh_config(5)): ssh through the host that the words ``jump`` name.

    ssh replaces what begins with % and gives the rest of the line to a shell. Raises ValueError for what no line holds.
    """
    line = shlex.join(["ssh", "-W", "%h:%p", *(word.replace("%", "%%") for word in jump)])
    if not line.isprintable():
        raise ValueError(f"no way for ssh leads through {' '.join(jump)!r}")
    return line


def yaml(text: str) -> str:
    """A text of YAML in double quotes (YAML 1.2.2, 7.3.1), whatever else it could be read as: true, null, 1e3.

    What a shell replaces in a here-document without quotes stays as it is too: it stands there as a number.
    """
    return '"' + re.sub(r"[^A-Za-z0-9_ .,:/@+=-]", lambda match: f"\\U{ord(match[0]):08x}", text) + '"'


def here_document(text: str, filled: Iterable[str]) -> str:
    """Text of a here-document of bash(1): nothing is replaced in it but ``filled``, which are expansions of bash's."""
    expansions = "|".join(map(re.escape, filled))
    return re.sub(rf"({expansions})|[\\$`]", lambda match: match[1] or f"\\{match[0]}", text)


def haproxy(text: str) -> str:
    """A word of haproxy's configuration (its manual, 2.2): what it could give a meaning to stands there as a number."""
    return re.sub(
        r"[^A-Za-z0-9_.~!&()*+,;=:@/?-]", lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode()), text
    )


def xml(text: str) -> str:
    """Text of an element of XML, for vagrant-libvirt, which puts settings into libvirt's description as they are."""
    return escape(text)
