"""The command line: Invoke, with this project's exit statuses; ssh, kubectl and enter take what follows as it is."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Mapping

from invoke.collection import Collection
from invoke.exceptions import CollectionNotFound, Exit, ParseError
from invoke.program import Program

from lab import __version__, interrupts, output
from lab.errors import ExitStatus, LabError, UsageError
from lab.project import FOLDER

#: Tasks that hand on every word behind them.
VERBATIM = ("ssh", "kubectl", "enter")

#: Options of our own that may stand before the words that are handed on.
OWN_OPTIONS = ("--lab", "--definition")


#: Failures that are the host's and not the program's, and what to do about them.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
FREE_SPACE = "free some space, for this project and for its cache (HALAB_CACHE, or ~/.cache/halab), then try again"
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
ASK_OWNER = "whoever runs this must be able to write there: what root made is root's (.lab/NAME, ~/.cache/halab)"


class LabProgram(Program):
    """Invoke's program, whose exceptions reach the caller: Invoke's own ``run`` turns them into its exit statuses."""

    def carry_out(self, argv: list[str]) -> None:
        """Parse the command line and run its tasks (the steps of invoke.Program.run)."""
        self.parse(argv)
        self.update_config()
        self.execute()

    def parse(self, argv: list[str]) -> None:
        """Find the tasks and their arguments. Raises Exit where help was asked for, which is written then."""
        self.create_config()
        self.parse_core(argv)
        sys.dont_write_bytecode = False  # Invoke switches it off: all of lab/ would be compiled at every call
        self.parse_collection()
        self.parse_tasks()
        self.parse_cleanup()

    def print_help(self) -> None:
        """What a person who typed nothing, or only --help, wants to know (Invoke would list its own options)."""
        tasks = self.collection.tasks
        sys.stdout.write(overview({name: task.__doc__ or "" for name, task in tasks.items()}))


def overview(commands: Mapping[str, str]) -> str:
    """The commands, in the order given, each with the first line of its documentation. Pure."""
    width = max(len(name) for name in commands)
    return "\n".join(
        [
            "A highly available Kubernetes lab that proves itself.",
            "",
            "Usage: ./inv COMMAND [OPTIONS]",
            "",
            *(f"  {name:<{width}}  {text.strip().splitlines()[0]}" for name, text in commands.items()),
            "",
            "./inv --help COMMAND shows a command's options. A first lab: doctor, up, status, verify, destroy.",
            "",
        ]
    )


def split_verbatim(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part a command line into what Invoke reads and what the task hands on.

    Pure: (["ssh", "--lab", "a", "master1", "ls", "-l"]) gives (["ssh", "--lab", "a"], ["master1", "ls", "-l"]).
    """
    if not argv or argv[0] not in VERBATIM:
        return argv, []
    own = 1
    while own < len(argv):
        name, equals, _ = argv[own].partition("=")
        if name not in OWN_OPTIONS:
            break
        own += 1 if equals else 2
    return argv[:own], argv[own:]


def with_name(argv: list[str]) -> list[str]:
    """``snapshot`` without a name (all its options take a value) gets an empty one: Invoke knows no optional argument.

    Pure: ["snapshot", "--lab", "a"] gives ["snapshot", "--name=", "--lab", "a"].
    """
    if argv[:1] != ["snapshot"]:
        return argv
    words = iter(argv[1:])
    for word in words:
        if not word.startswith("-") or word.startswith(("--name", "-n")):
            return argv
        if "=" not in word and (word.startswith("--") or len(word) == 2):
            next(words, None)
    return ["snapshot", "--name=", *argv[1:]]


def own_words(words: list[str]) -> tuple[list[str], list[str]]:
    """What Invoke reads of a command line, as it can read it, and what the task hands on. Pure."""
    own, handed_on = split_verbatim(words)
    if handed_on in (["--help"], ["-h"]):
        own, handed_on = [*own, "--help"], []
    if len(own) > 1 and not own[0].startswith("-") and {"--help", "-h"} & set(own[1:]):
        # Invoke itself takes a --help behind the command for the value of the command's first argument.
        own = ["--help", own[0]]
    return with_name(own), handed_on


def program() -> LabProgram:
    """Invoke's program with this project's tasks."""
    import tasks

    return LabProgram(version=__version__, namespace=Collection.from_module(tasks), name="inv", binary="./inv")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    own, handed_on = own_words(sys.argv[1:] if argv is None else argv)
    import tasks

    tasks.HANDED_ON[:] = handed_on
    try:
        program().carry_out(["inv", *own])
    except (ParseError, CollectionNotFound) as error:
        return _failed(UsageError(str(error), "./inv --list shows every command, ./inv --help COMMAND its options"))
    except Exit as error:
        if error.message:
            sys.stderr.write(f"{error.message}\n")
        return int(error.code)
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt.__cause__, Exception):
            _unexpected(interrupt.__cause__)
        sys.stderr.write(
            "\ninterrupted; the same command goes on from here\n" if own[:1] == ["up"] else "\ninterrupted\n"
        )
        return int(ExitStatus.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the outermost layer: nothing escapes it
        return _unexpected(error)
    return int(ExitStatus.GOOD)


def _unexpected(error: Exception) -> int:
    """What is wrong is the reader's to mend, or the host's, or else a fault of the program."""
    trouble = host_trouble(error) if isinstance(error, OSError) else error
    return _failed(trouble) if isinstance(trouble, LabError) else _fault(error)


def host_trouble(error: OSError) -> LabError | None:
    """What a host whose disk is full or whose files are somebody else's keeps this program from; None for all else."""
    if error.errno in DISK_FULL:
        return LabError(f"{error.filename or 'a file could not be written'}: {error.strerror}", FREE_SPACE)
    if error.errno in FORBIDDEN and error.filename is not None:
        return LabError(f"{error.filename}: {error.strerror}", ASK_OWNER)
    return None


def _failed(error: LabError) -> int:
    from lab import console

    console.fail(error)
    return int(error.status)


def _fault(error: Exception) -> int:
    """Say that it is not the reader's fault, and what to send to whoever carries the project on."""
    report = FOLDER / ".lab" / "fault.txt"
    trace = "".join(traceback.format_exception(error))
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(trace)
        where = str(report)
    except OSError:  # a full disk, or somebody else's folder: the trace is shown instead
        sys.stderr.write(trace)
        where = "the lines above"
    sys.stderr.write(
        f"this is a fault of the program, not of your lab: {type(error).__name__}: {error}\n"
        f"  → report it with {where} and the command that you typed\n"
    )
    return int(ExitStatus.FAULT)


def process() -> int:
    """``main``, with what belongs to a process of its own: signals, and standard output that somebody reads or not."""
    output.guard()
    interrupts.install(_notice)
    try:
        try:
            status = main()
        finally:
            interrupts.finish()
    except KeyboardInterrupt:  # one more, while the first was told
        return int(ExitStatus.INTERRUPTED)
    if sys.stdout is not None:
        sys.stdout.flush()  # not only at exit, when nobody could be told any more that it was lost
    if (lost := output.trouble()) is not None and status == ExitStatus.GOOD:
        return _unexpected(lost)
    return status


def _notice(text: str) -> None:
    from lab import console

    console.notice(text)


if __name__ == "__main__":
    sys.exit(process())
