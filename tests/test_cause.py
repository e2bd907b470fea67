"""Of all that a failed program said, the lines that say why: in recorded output, and in what real programs say now."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import needs
import pytest

from lab.box.lxc import write_box
from lab.cause import LONGEST_LINE, MOST_LINES, cause
from lab.command import CommandError, run
from lab.providers.vagrant import environment

#: What programs really wrote on standard error when they failed (paths shortened).
RECORDED = Path(__file__).parent / "cause"

EXISTS = "undefined method `exists?' for File:Class"

SAYS = {
    "vagrant-unexpected": [EXISTS],
    "ruby-cause": ["the network could not be made (RuntimeError)", "no such bridge: br0 (ArgumentError)"],
    "go-panic": ["panic: assignment to entry in nil map"],
    "go-deadlock": ["fatal error: all goroutines are asleep - deadlock!"],
    "go-again": [
        "panic: etcd: quorum",
        "lost twice [recovered]",
        "panic: again: etcd: quorum",
        "lost twice",
    ],
    "go-signal": ["panic: runtime error: invalid memory address or nil pointer dereference"],
    "lxc-start": [
        "ha-0927da-left: Script exited with status 127",
        'ha-0927da-left: Failed to run lxc.hook.pre-start for container "ha-0927da-left"',
        "ha-0927da-hand: Script exited with status 127",
        'ha-0927da-hand: Failed to run lxc.hook.pre-start for container "ha-0927da-hand"',
        'There was an error executing ["sudo", "/usr/bin/env", "lxc-start", "-d", "--name", "ha-0927da-left"]',
        'There was an error executing ["sudo", "/usr/bin/env", "lxc-start", "-d", "--name", "ha-0927da-hand"]',
    ],
    "kubelet-fatal": [
        "F1124 11:30:54.313840   10186 server.go:198] failed to load Kubelet config file /no/such, "
        'error failed to read kubelet config file "/no/such", error: open /no/such: no such file or directory'
    ],
    "kubeadm-preflight": [
        "error execution phase preflight: [preflight] Some fatal errors occurred:",
        "[ERROR FileExisting-crictl]: crictl not found in system path",
        "[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: /proc/sys/net/ipv4/ip_forward contents are not set to 1",
        "[ERROR FileExisting-conntrack]: conntrack not found in system path",
        "[ERROR KubeletVersion]: couldn't get kubelet version: cannot execute 'kubelet --version': executable file not "
        "found in $PATH",
    ],
}


@pytest.mark.parametrize("name", SAYS)
def test_a_recorded_failure_says_why(name: str) -> None:
    assert cause((RECORDED / f"{name}.txt").read_text()) == SAYS[name]


def test_of_several_machines_each_ones_reason_is_told() -> None:
    said = cause((RECORDED / "vagrant-several.txt").read_text())
    assert len(said) == 4
    for line, machine in zip(said, ("one", "two", "three", "four"), strict=True):
        assert line.startswith('There was an error executing ["sudo", "/usr/bin/env", "lxc-create"')
        assert f'"ha-0927da-{machine}"' in line


def test_whatever_comes_before_and_behind_a_trace_it_is_found() -> None:
    noise = "\n".join(f"line {number}" for number in range(500))
    for name, said in SAYS.items():
        text = (RECORDED / f"{name}.txt").read_text()
        assert cause(f"{noise}\n{text}\n{noise}\n") == said


def test_what_is_no_trace_says_no_more_than_its_last_lines() -> None:
    for text in ("", "\n\n", "error: no such file", "x.rb:3: warning: unused", "goroutine 1 [running]:\nmain.main()"):
        assert cause(text) == []


def test_a_hundred_reasons_are_not_all_told() -> None:
    text = "".join(f"x.rb:1:in `a': reason {number} (RuntimeError)\n" for number in range(100))
    assert cause(text) == [f"reason {number} (RuntimeError)" for number in range(MOST_LINES)]


PYTHON = {
    "one": ("raise ValueError('no lease')", ["ValueError: no lease"]),
    "chained": (
        "try:\n    {}['holder']\nexcept KeyError as error:\n    raise RuntimeError('nobody holds the VIP') from error",
        ["KeyError: 'holder'", "RuntimeError: nobody holds the VIP"],
    ),
    "while handling": (
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    open('/no/such')",
        ["ZeroDivisionError: division by zero", "FileNotFoundError: [Errno 2] No such file or directory: '/no/such'"],
    ),
    "a group": (
        "found = []\nfor name in ('master1', 'master2'):\n    try:\n        open(f'/no/{name}')\n"
        "    except OSError as error:\n        found.append(error)\nraise ExceptionGroup('two machines', found)",
        [
            "ExceptionGroup: two machines (2 sub-exceptions)",
            "FileNotFoundError: [Errno 2] No such file or directory: '/no/master1'",
            "FileNotFoundError: [Errno 2] No such file or directory: '/no/master2'",
        ],
    ),
}


@pytest.mark.parametrize("name", PYTHON)
def test_python_says_why(name: str) -> None:
    program, said = PYTHON[name]
    deep = f"def deep(n):\n    if n:\n        return deep(n - 1)\n    exec({program!r})\ndeep(20)\n"
    result = run([sys.executable, "-c", deep])
    assert result.status == 1
    assert cause(result.stderr) == said


RUBY = {
    "one": ("raise ArgumentError, 'no such bridge: br0'", ["no such bridge: br0 (ArgumentError)"]),
    "caused": (
        "begin; raise 'no such bridge'; rescue; raise 'no network'; end",
        ["no network (RuntimeError)", "no such bridge (RuntimeError)"],
    ),
    "of two lines": ('raise "no network\\nfor master1"', ["no network (RuntimeError)", "for master1"]),
    "printed by itself": (
        "begin; raise 'no network'; rescue => e; warn e.message, '', e.backtrace; exit 1; end",
        ["no network"],
    ),
}


@pytest.mark.parametrize("name", RUBY)
def test_ruby_says_why(name: str) -> None:
    needs.programs("ruby")
    program, said = RUBY[name]
    result = run(["ruby", "-e", f"def deep(n, &b) n.zero? ? b.call : deep(n - 1, &b) end\ndeep(20) {{ {program} }}"])
    assert result.status == 1
    assert cause(result.stderr) == said


def test_the_error_shows_the_reason_above_the_last_lines() -> None:
    program = "import sys\nprint('one', file=sys.stderr)\nraise ValueError('no lease')"
    with pytest.raises(CommandError) as caught:
        run([sys.executable, "-c", program], machine="master1", label="probe").check("start it again")
    first, why, *last = caught.value.message.splitlines()
    assert first.startswith("command failed on master1 (status 1") and first.endswith("probe")
    assert why == "  why: ValueError: no lease"
    assert last[0] == "  | one" and all(line.startswith("  | ") for line in last)
    assert caught.value.hint == "start it again"


def test_a_long_trace_does_not_hide_the_reason() -> None:
    message = str(CommandError(run(["cat", str(RECORDED / "vagrant-unexpected.txt")]))).splitlines()
    assert message[1] == f"  why: {EXISTS}"
    assert len(message) < 10, "the frames are no news once it is known why"


def test_a_reason_on_standard_output_is_found_behind_a_warning_on_standard_error() -> None:
    failed = run(["sh", "-c", 'cat "$1"; echo "a warning" >&2; exit 1', "sh", str(RECORDED / "go-panic.txt")])
    said = str(CommandError(failed))
    assert "  why: panic: assignment to entry in nil map" in said
    assert "  | a warning" in said


def test_a_secret_output_gives_no_reason() -> None:
    program = "print('Traceback (most recent call last):\\nValueError: t0ken'); raise SystemExit(1)"
    failed = run([sys.executable, "-c", program], secret=True, label="mint")
    assert "t0ken" in failed.stdout
    assert "t0ken" not in str(CommandError(failed))


VAGRANTFILE = """
Vagrant.configure("2") do |config|
  config.vm.box = "a-box"
  config.vm.box_url = "file://{box}"
  config.vm.synced_folder ".", "/vagrant", disabled: true
  %w[one two].each do |name|
    config.vm.define name do |machine|
      machine.vm.provider(:lxc) {{ |lxc| lxc.container_name, lxc.backingstore = "{prefix}-#{{name}}", "dir" }}
    end
  end
end
"""

#: A Ruby from which what vagrant-lxc calls is gone, as it is from Ruby 3.2 on.
GONE = "[File, Dir].each { |one| one.singleton_class.send(:undef_method, :exists?) if one.respond_to?(:exists?) }\n"


def up(folder: Path, template: str, given: Mapping[str, str]) -> str:
    """What the real Vagrant, with the real plugin, says of two machines that cannot be made."""
    needs.programs("vagrant", "ruby", "lxc-create", "sudo")
    write_box(folder / "a.box", "", template, folder)
    (folder / "Vagrantfile").write_text(
        VAGRANTFILE.format(box=folder / "a.box", prefix=f"never-{uuid.uuid4().hex[:6]}")
    )
    failed = subprocess.run(
        ["vagrant", "up", "--no-provision", "--provider=lxc"],
        cwd=folder,
        env={**os.environ, "VAGRANT_HOME": str(folder / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1", **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert failed.returncode != 0
    return failed.stderr


def test_a_line_without_end_is_cut() -> None:
    """Ruby shows whole objects in its messages; what a place looks like is also sought in no more than that."""
    (said,) = cause("a.rb:1:in `x': undefined method for #<Env " + "y" * 100_000 + ">\n\tfrom b.rb:2:in `z'\n")
    assert said.startswith("undefined method") and said.endswith("…") and len(said) < LONGEST_LINE


def test_vagrant_says_why(tmp_path: Path) -> None:
    """It fails before it makes anything, once for each machine, with a trace."""
    (tmp_path / "gone.rb").write_text(GONE)
    (said,) = cause(up(tmp_path, "#!/bin/sh\nexit 1\n", {"RUBYOPT": f"-r{tmp_path}/gone.rb"}))
    assert said.startswith("undefined method") and "exists?" in said


@needs.root
def test_vagrant_says_what_lxc_said(tmp_path: Path) -> None:
    """Its plugin keeps it to itself, unless it is told otherwise."""
    template = "#!/bin/sh\necho 'mkdir: cannot create directory: No space left on device' >&2\nexit 1\n"
    said = cause(up(tmp_path, template, environment(tmp_path, "lxc")))
    assert said[0] == "mkdir: cannot create directory: No space left on device"
    assert [line for line in said if "from template" in line], "and who called it"
    assert list(Path("/var/lib/lxc").glob("never-*")) == []
