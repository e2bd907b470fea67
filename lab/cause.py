"""The lines that say why a program failed, found in all that it said. Pure.

A trace is long and its message short: the last lines of the output show where the program was, and not what went wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

#: Lines of causes that an error shows: several machines may have failed, each for a reason of its own.
MOST_LINES = 8

#: Lines that one message is given: what follows is more likely the next program's output than this one's reason.
MESSAGE_LINES = 4

#: Characters of a line that are read and shown: Ruby puts whole objects into its messages.
LONGEST_LINE = 1000

#: A place in a Ruby trace: FILE:LINE:in `METHOD' (Ruby 3.4 writes 'CLASS#METHOD').
_RUBY_PLACE = r"\S.*:\d+:in [`'].+'"
_RUBY_FRAME = re.compile(rf"^(\s*from )?{_RUBY_PLACE}$")
_RUBY_MESSAGE = re.compile(r"^\S.*?:\d+:in [`'].+?': (?P<message>.+)$")

#: How Vagrant ends the sentence before each machine's own error when several were worked on (its locales/en.yml).
_VAGRANT_HEADING = re.compile(r"(Please report this as a bug|Please handle this error then try again):$")

_PYTHON_TRACE = re.compile(r"(Exception Group )?Traceback \(most recent call last\):$")
_PYTHON_REPEATED = re.compile(r"^\s*\[Previous line repeated ")  # not indented as its group is

#: How a Go program begins what it says last: the runtime, and klog's fatal lines (Kubernetes).
_GO_MESSAGE = re.compile(r"^(panic: |fatal error: |F\d{4} )")
_GO_TRACE = re.compile(r"^goroutine \d+ (gp=\S+ )?.*\[.+\]:$")
_GO_SIGNAL = re.compile(r"^\[signal ")

#: A line of LXC's log: program, container, time, level, part of LXC, place in its source.
_LXC_ERROR = re.compile(r"^lxc-\w+ (?P<name>\S+) \d+\.\d+ ERROR +\S+ - \S+ - (?P<message>.+)$")

#: The first errors of a container say what happened; each later one that its caller failed too.
LXC_LINES = 2

#: kubeadm's last words, and what its preflight found wrong.
_KUBEADM_MESSAGE = re.compile(r"^error execution phase ")
_KUBEADM_FOUND = re.compile(r"^\t\[ERROR ")


def cause(output: str) -> list[str]:
    """The lines of ``output`` that say why, in order, each once; [] where no program's way of saying it is found."""
    lines = [line if len(line) < LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…" for line in output.splitlines()]
    found = (line.strip() for reader in _READERS for message in reader(lines) for line in message)
    return list(dict.fromkeys(found))[:MOST_LINES]


def _ruby(lines: Sequence[str]) -> Iterator[list[str]]:
    """FILE:LINE:in `METHOD': MESSAGE (CLASS), then a frame a line; the error that led to it follows in the same way."""
    for number, line in enumerate(lines):
        if match := _RUBY_MESSAGE.match(line):
            yield [match["message"], *_paragraph(lines[number + 1 :], MESSAGE_LINES - 1)]


def _vagrant(lines: Sequence[str]) -> Iterator[list[str]]:
    """A heading for each machine, then its message; where the error is Vagrant's own fault the frames follow."""
    headings = [number for number, line in enumerate(lines) if _VAGRANT_HEADING.search(line)]
    for number in headings:
        yield _paragraph(_without_blank(lines[number + 1 :]))
    if not headings:
        yield from _bare_ruby(lines)


def _bare_ruby(lines: Sequence[str]) -> Iterator[list[str]]:
    """The message stands by itself before frames without ``from``: how a Ruby program prints a caught error."""
    for number, line in enumerate(lines):
        begins = number == 0 or not _RUBY_FRAME.match(lines[number - 1])
        if begins and _RUBY_FRAME.match(line) and not line.lstrip().startswith("from "):
            before = _without_blank(lines[:number][::-1])
            yield _paragraph(before)[::-1]


def _python(lines: Sequence[str]) -> Iterator[list[str]]:
    """Frames are indented below the heading and the exception is not; each error of a chain has a trace of its own."""
    for number, line in enumerate(lines):
        if match := _PYTHON_TRACE.search(line):
            column = match.start()  # an exception group indents the traces of its parts
            below = (later[column:] for later in lines[number + 1 :] if not _PYTHON_REPEATED.match(later))
            said = next((later for later in below if later[:1] not in ("", " ")), None)
            if said is not None:
                yield [said]


def _go(lines: Sequence[str]) -> Iterator[list[str]]:
    """The message, a blank line (klog: none), then a goroutine after the other."""
    first = next((number for number, line in enumerate(lines) if _GO_TRACE.match(line)), 0)
    begins = [number for number in range(first) if _GO_MESSAGE.match(lines[number])]
    if begins:
        yield [line for line in _paragraph(lines[begins[-1] : first]) if not _GO_SIGNAL.match(line)]


def _lxc(lines: Sequence[str]) -> Iterator[list[str]]:
    """What went wrong first comes first, container by container."""
    said: dict[str, list[str]] = {}
    for line in lines:
        if match := _LXC_ERROR.match(line):
            said.setdefault(match["name"], []).append(f"{match['name']}: {match['message']}")
    for messages in said.values():
        yield messages[:LXC_LINES]


def _kubeadm(lines: Sequence[str]) -> Iterator[list[str]]:
    """The phase that failed and why; below it a line for each thing that its preflight found wrong."""
    for number, line in enumerate(lines):
        if _KUBEADM_MESSAGE.match(line):
            yield [line, *(later for later in lines[number + 1 :] if _KUBEADM_FOUND.match(later))]


_READERS: Sequence[Callable[[Sequence[str]], Iterator[list[str]]]] = (
    _lxc,  # before Vagrant, which only knows that a command of LXC failed
    _vagrant,
    _ruby,
    _python,
    _go,
    _kubeadm,
)


def _paragraph(lines: Sequence[str], most: int = MESSAGE_LINES) -> list[str]:
    """The lines up to the first that is blank or part of a trace, at most ``most``."""
    end = next((number for number, line in enumerate(lines) if _ends(line)), len(lines))
    return list(lines[: min(end, most)])


def _ends(line: str) -> bool:
    return not line.strip() or _RUBY_FRAME.match(line) is not None or _RUBY_MESSAGE.match(line) is not None


def _without_blank(lines: Sequence[str]) -> Sequence[str]:
    """The lines from the first that is not blank on."""
    return lines[next((number for number, line in enumerate(lines) if line.strip()), len(lines)) :]
