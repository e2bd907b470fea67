"""A machine takes scripts and arguments as they are: ssh, sudo and two shells in between change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.command import CommandError, CommandTimeout
from lab.errors import LabError
from lab.machine import Channel, Machine
from lab.waiting import wait_for

#: ssh as far as it matters here: options, a name, and one string that the other side's shell reads.
SSH = """#!/bin/sh
echo "$*" >> "$SSH_LOG"
while :; do case $1 in -F | -o | -O) shift 2 ;; -*) shift ;; *) break ;; esac; done
[ "$1" != gone ] || { echo "ssh: connect to host gone port 22: No route to host" >&2; exit 255; }
shift
exec sh -c "$*"
"""
SUDO = '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\nexec "$@"\n'


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("ssh", SSH), ("sudo", SUDO)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def connections() -> Path:
    """Where ssh's shared connections lie, beside the log of the ``log`` fixture."""
    return Path(os.environ["SSH_LOG"]).parent / "labs" / "x"


def machine(name: str = "master1", enter: tuple[str, ...] = ()) -> Machine:
    return Machine(name, Channel(enter, Path("/lab/ssh_config"), connections()))


AWKWARD = ["a b", "it's", '"', "$HOME", "`id`", "*", "", "-n", "--", "ü", "a\nb", "\\"]


@pytest.mark.usefixtures("log")
def test_arguments_arrive_as_they_are() -> None:
    result = machine().run('for word; do printf "%s\\0" "$word"; done', AWKWARD).check()
    assert result.stdout.split("\0")[:-1] == AWKWARD


@pytest.mark.usefixtures("log")
def test_a_script_arrives_as_it_is() -> None:
    script = "cat <<'EOF'\n$HOME `id` \\ 'x' \"y\"\nEOF\n"
    assert machine().run(script).stdout == "$HOME `id` \\ 'x' \"y\"\n"


def test_no_script_shows_in_a_process_list(log: Path) -> None:
    machine().run("export TOKEN=s3cret; true").check()
    assert "s3cret" not in log.read_text()
    assert "bash -s --" in log.read_text()


@pytest.mark.usefixtures("log")
def test_a_failure_names_the_machine_and_the_scripts_first_line() -> None:
    with pytest.raises(CommandError) as caught:
        machine("worker1").run("#!/bin/bash\n# why\nset -eu\n\nmount /x\nls\n").check()
    assert "on worker1" in str(caught.value)
    assert ": mount /x\n" in str(caught.value)


@pytest.mark.usefixtures("log")
def test_a_machine_that_is_gone_is_ssh_s_own_status_and_words() -> None:
    result = machine("gone").run("true")
    assert result.status == 255
    assert "No route to host" in result.tail()


@pytest.mark.usefixtures("log")
def test_every_script_has_a_deadline() -> None:
    with pytest.raises(CommandTimeout, match="on master1"):
        machine().run("exec sleep 30", timeout=0.3)


def test_the_way_goes_through_the_labs_network_and_its_own_ssh_configuration(log: Path) -> None:
    assert machine(enter=("env", "INSIDE=1")).run("echo $INSIDE").stdout == "1\n"
    assert "-F /lab/ssh_config" in log.read_text()
    assert f"ControlPath={connections()}/%C" in log.read_text()


def test_a_probe_has_a_connection_of_its_own(log: Path) -> None:
    lines: list[str] = []
    stream = machine().stream(["sh", "-c", 'echo "$1"; sleep 30', "-", "a  b"], lines.append)
    wait_for("its line", lambda: list(lines), bool, seconds=5)
    stream.stop()
    assert lines == ["a  b"]
    words = log.read_text().split()
    # Of several values ssh takes the first (ssh_config(5)).
    assert words.index("ControlPath=none") < words.index(f"ControlPath={connections()}/%C")


def test_a_probes_connection_ends_with_the_program_that_listens_also_when_that_is_killed(log: Path) -> None:
    (log.parent / "ssh").write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    program = """
import sys
from pathlib import Path
from lab.machine import Channel, Machine
machine = Machine("master1", Channel((), Path("/lab/ssh_config"), Path(sys.argv[1])))
machine.stream(["probe"], lambda line: print(line, flush=True))
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(connections())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        connection = Path("/proc") / listener.stdout.readline().strip()
        assert connection.exists()
        listener.kill()
    wait_for("the connection's end", connection.exists, lambda there: not there, seconds=5)


def test_a_program_that_reads_its_input_does_not_eat_the_rest_of_the_script(log: Path) -> None:
    assert machine().run("cat\necho after\n").check().stdout == "after\n"


@pytest.mark.usefixtures("log")
def test_the_folder_of_shared_connections_is_made_again_after_a_restart_of_the_host() -> None:
    machine().run("true").check()
    assert connections().stat().st_mode & 0o777 == 0o700
    connections().rmdir()
    machine().run("true").check()
    assert connections().is_dir()


@pytest.mark.usefixtures("log")
def test_a_folder_of_somebody_elses_is_no_place_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    connections().mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: connections().stat().st_uid + 1)
    with pytest.raises(LabError, match=f"somebody else may write in {connections().parent}"):
        machine().run("true")


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("above", [False, True])
def test_nor_is_one_where_others_may_write(above: bool) -> None:
    connections().mkdir(parents=True)
    folder = connections().parent if above else connections()
    folder.chmod(0o777)
    with pytest.raises(LabError, match=f"somebody else may write in {folder}:"):
        machine().run("true")


@pytest.mark.usefixtures("log")
def test_where_no_such_folder_can_be_made_it_is_named() -> None:
    connections().parent.write_text("in the way")
    with pytest.raises(LabError, match=f"shared connections: .*{connections().parent}"):
        machine().run("true")
