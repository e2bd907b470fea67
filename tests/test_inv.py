"""The script that a fresh machine begins with, in a copy of its own: apt, dpkg and Python there only remember."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.definition import load, parse
from lab.providers import choice

FOLDER = Path(__file__).resolve().parent.parent

#: All that the script may call on a Debian system besides apt, dpkg, systemd and Python.
TOOLS = "sh dirname sed sort grep cat cksum readlink flock mktemp tail mv rm chmod sleep mkdir cp touch"

DPKG_QUERY = """#!/bin/sh
shift 3
for name; do if grep -qxF "$name" "$SCRATCH/installed"; then echo "installed $name"; fi; done
"""

APT_GET = """#!/bin/sh
echo "$* $DEBIAN_FRONTEND" >> "$SCRATCH/apt.log"
case " $* " in *" install "*) ;; *) exit 0 ;; esac
cat "$SCRATCH/sbin/policy-rc.d" > "$SCRATCH/policy-seen"
[ ! -e "$SCRATCH/apt-waits" ] || { touch "$SCRATCH/waiting"; sleep 30; }
[ ! -e "$SCRATCH/apt-fails" ] || { echo 'E: Unable to locate package'; exit 100; }
for name; do case $name in -* | *=* | install) ;; *) echo "$name" >> "$SCRATCH/installed" ;; esac; done
"""

PYTHON = """#!/bin/sh
case "$1 ${2:-}" in
  -c*) exit "$(cat "$SCRATCH/python-too-old" 2> /dev/null || echo 0)" ;;
  -V*) echo Python 3.9.2 ;;
  "-m venv") echo "venv" >> "$SCRATCH/python.log"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-m pip") echo "pip $*" >> "$SCRATCH/python.log"; [ ! -e "$SCRATCH/pip-fails" ] ;;
  *) echo "PYTHONPATH=$PYTHONPATH" "$@" ;;
esac
"""

SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$SCRATCH/systemctl.log"
case "$1 $3" in
  is-enabled*) exit 0 ;;
  "is-active lxc-net") exit 0 ;;
  is-active*) exit 3 ;;
esac
"""


@dataclass
class Host:
    """A host with a clone of the project, as far as the script can see."""

    folder: Path
    uid: int = 0
    packages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("bin", "sbin", "clone", "clone/configs"):
            (self.folder / name).mkdir()
        for tool in TOOLS.split():
            self.program(tool).symlink_to(shutil.which(tool) or f"/no/such/{tool}")
        self.write_program("dpkg-query", DPKG_QUERY)
        self.write_program("apt-get", APT_GET)
        self.write_program("python3", PYTHON)
        self.write_program("systemctl", SYSTEMCTL)
        self.write_program("id", f"#!/bin/sh\necho {self.uid}\n")
        self.installed.write_text("".join(f"{name}\n" for name in self.packages))
        (self.folder / "cpuinfo").write_text("flags\t\t: fpu vme sse\n")
        clone = self.folder / "clone"
        shutil.copytree(FOLDER / "host", clone / "host")
        for name in ("requirements.txt", "requirements-libvirt.txt", "configs/ha.yaml"):
            shutil.copy(FOLDER / name, clone / name)
        text = (FOLDER / "inv").read_text()
        for path, instead in (
            ("/usr/sbin/policy-rc.d", self.policy),
            ("/usr/bin/python3", self.program("python3")),
            ("/run/systemd/system", self.folder / "systemd"),
            ("/proc/cpuinfo", self.folder / "cpuinfo"),
            ("/dev/kvm", self.folder / "kvm"),
        ):
            assert path in text
            text = text.replace(path, str(instead))
        (clone / "inv").write_text(text)
        (clone / "inv").chmod(0o755)

    @property
    def policy(self) -> Path:
        return self.folder / "sbin" / "policy-rc.d"

    @property
    def installed(self) -> Path:
        return self.folder / "installed"

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    def write_program(self, name: str, text: str) -> None:
        self.program(name).write_text(text)
        self.program(name).chmod(0o755)

    def needs(self) -> list[str]:
        """The packages that are installed now."""
        return sorted(self.installed.read_text().split())

    def log(self, name: str) -> list[str]:
        file = self.folder / f"{name}.log"
        return file.read_text().splitlines() if file.exists() else []

    def start(self, *argv: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.folder / "clone" / "inv"), *argv],
            env={"PATH": str(self.folder / "bin"), "SCRATCH": str(self.folder), "TMPDIR": str(self.folder)},
            cwd=cwd or self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def inv(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv, cwd=cwd)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)


def listed(*groups: str) -> list[str]:
    """The packages of some lists."""
    lines = [line for group in groups for line in (FOLDER / "host" / f"{group}.packages").read_text().splitlines()]
    return sorted({line.partition("#")[0].strip() for line in lines} - {""})


#: What a lab that builds its box and Kubernetes needs besides Python.
LXC = ("common", "build", "lxc")
LIBVIRT = ("common", "build", "build-libvirt", "libvirt")

#: What one needs that takes a public box and ends before Kubernetes.
NOTHING_BUILT = ("common", "libvirt")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that has all that a lab of containers needs."""
    return Host(tmp_path, packages=listed("python", *LXC))


@pytest.fixture
def bare(tmp_path: Path) -> Host:
    """A host with Python, and nothing else of ours."""
    return Host(tmp_path, packages=listed("python"))


class TestAllThere:
    """When all is there the task runs, and nothing else does."""

    def test_the_words_arrive_as_they_were_typed(self, host: Host) -> None:
        host.inv()
        done = host.inv("ssh", "master1", "echo  two  spaces", "*")
        assert done.stdout == f"PYTHONPATH={host.folder}/clone -P -m lab.program ssh master1 echo  two  spaces *\n"
        assert done.stderr == ""

    def test_it_can_be_called_from_anywhere(self, host: Host, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        assert host.inv("--list", cwd=tmp_path / "elsewhere").returncode == 0

    def test_the_environment_is_made_once(self, host: Host) -> None:
        first = host.inv("up", "--provider", "lxc")
        assert "making the virtual environment" in first.stderr
        made = host.log("python")
        assert made[0] == "venv"
        assert host.inv("up", "--provider", "lxc").stderr == ""
        assert host.inv("status").stderr == ""
        assert host.log("python") == made
        assert host.log("apt") == []

    def test_other_requirements_or_another_python_renew_the_environment(self, host: Host) -> None:
        host.inv()
        with (host.folder / "clone" / "requirements.txt").open("a") as file:
            file.write("another==1\n")
        assert "making" in host.inv().stderr
        shutil.move(host.folder / "clone/.venv/bin/python", host.folder / "bin/python3.13")
        (host.folder / "clone/.venv/bin/python").symlink_to(host.folder / "bin/python3.13")
        assert "making" in host.inv().stderr

    def test_an_installation_that_failed_is_begun_again(self, host: Host) -> None:
        (host.folder / "pip-fails").touch()
        assert host.inv("--list").returncode == 1
        (host.folder / "pip-fails").unlink()
        assert "making" in host.inv("--list").stderr
        assert host.inv("--list").stderr == ""

    def test_an_old_python_is_named(self, host: Host) -> None:
        (host.folder / "python-too-old").write_text("1")
        done = host.inv("--list")
        assert done.returncode == 64
        assert "Python 3.11 or later is needed (Python 3.9.2)" in done.stderr

    def test_libvirts_bindings_come_with_the_first_lab_that_needs_them_and_stay(self, tmp_path: Path) -> None:
        host = Host(tmp_path, packages=listed("python", *LXC, *LIBVIRT))
        host.inv("up", "--provider", "lxc")
        assert not any("requirements-libvirt" in line for line in host.log("python"))
        host.inv("up", "--provider=libvirt")
        made = host.log("python")
        assert any("requirements-libvirt" in line for line in made)
        host.inv("up", "-p", "lxc")
        host.inv("status")
        host.inv("up", "-p", "libvirt")
        assert host.log("python") == made


class TestPackages:
    """What is missing is installed and said; what a command does not need is not."""

    def test_missing_packages_are_named_and_installed(self, bare: Host) -> None:
        done = bare.inv("up", "--provider", "lxc")
        assert done.returncode == 0
        wanted = sorted(set(listed(*LXC)) - set(listed("python")))
        assert f"installing packages (their services are not started): {' '.join(wanted)}" in done.stderr
        update, install = bare.log("apt")
        assert update.endswith("update noninteractive")
        assert f"install -y --no-install-recommends {' '.join(wanted)}" in install
        assert "installing" not in bare.inv("up", "--provider", "lxc").stderr

    @pytest.mark.parametrize(
        ("argv", "groups"),
        [
            (["up"], LXC),
            (["up", "--provider", "lxc"], LXC),
            (["up", "--provider=libvirt"], LIBVIRT),
            (["up", "-p", "libvirt", "--until", "machines"], LIBVIRT),
            (["bench", "up"], LXC),
            (["bench", "up", "--provider", "libvirt"], LIBVIRT),
            (["test", "--fast"], [*LXC, *LIBVIRT, "test"]),
            (["--list"], []),
            (["--help", "up"], []),
            ([], []),
            (["status"], []),
            (["ssh", "master1", "apt", "install", "libvirt", "test"], []),
            (["kubectl", "-p", "libvirt"], []),
        ],
    )
    def test_each_command_needs_what_it_needs(self, bare: Host, argv: list[str], groups: Sequence[str]) -> None:
        bare.inv(*argv)
        assert sorted(bare.installed.read_text().split()) == sorted({*listed("python"), *listed("python", *groups)})

    def test_the_definitions_provider_counts(self, bare: Host) -> None:
        (bare.folder / "vm.yaml").write_text("name: vm\nprovider: libvirt   # not auto\nnodes: []\n")
        bare.inv("up", "--definition", "vm.yaml")
        assert "vagrant-libvirt" in bare.installed.read_text().split()

    @pytest.mark.parametrize(
        ("flags", "device", "groups"),
        [("fpu vmx", True, [*LXC, *LIBVIRT]), ("fpu svm", False, LXC), ("fpu svmx", True, LXC)],
    )
    def test_where_kvm_may_work_auto_can_end_with_either_provider(
        self, bare: Host, flags: str, device: bool, groups: Sequence[str]
    ) -> None:
        (bare.folder / "cpuinfo").write_text(f"flags\t\t: {flags} sse\n")
        if device:
            (bare.folder / "kvm").touch()
        bare.inv("up")
        assert bare.needs() == listed("python", *groups)

    @pytest.mark.parametrize(
        "machine",
        [
            "machine:\n  memory: 512\n  box: {name: debian/bookworm64}",
            "machine:\n  box: {version: '12.1', name: \"debian/bookworm64\"}  # a public one",
            "machine:   # each of them\n\n# at the margin\n  box:\n    version: '12.1'\n    name: 'debian/bookworm64'",
            "machine: {cpus: 1, box: {name: debian/bookworm64}}",
        ],
    )
    def test_with_a_public_box_and_without_kubernetes_nothing_is_built(self, bare: Host, machine: str) -> None:
        (bare.folder / "vm.yaml").write_text(f"provider: libvirt\n{machine}\nnodes: [{{name: m1, role: master}}]\n")
        bare.inv("up", "--definition=vm.yaml", "--until=loadbalancer")
        assert bare.needs() == listed("python", *NOTHING_BUILT)

    def test_nothing_is_built_for_the_readmes_example(self, bare: Host) -> None:
        readme = (FOLDER / "README.md").read_text()
        text = next(block for block in readme.split("```") if block.startswith("yaml\n")).removeprefix("yaml\n")
        (bare.folder / "vm.yaml").write_text(text)
        assert parse(text).machine.box.name, "a definition without a mistake"
        assert "`./inv up --definition vm.yaml --until loadbalancer`" in readme
        bare.inv("up", "--definition", "vm.yaml", "--until", "loadbalancer")
        assert bare.needs() == listed("python", *NOTHING_BUILT)

    @pytest.mark.parametrize(
        "machine",
        [
            "",
            "machine: {memory: 512}",
            "machine:\n  # box: {name: debian/bookworm64}",
            "machine:\n  box: {}  # name: debian/bookworm64",
            "machine:\n  box: {name: ''}",
            "machine:\n  box:\n    name:",
            "name: vm",
            "machines:\n  box: {name: debian/bookworm64}",
        ],
    )
    def test_without_a_public_box_one_is_built(self, bare: Host, machine: str) -> None:
        nodes = "nodes:\n  - {name: m1, role: master}\n  - role: worker\n    name: w1\n"
        (bare.folder / "vm.yaml").write_text(f"provider: libvirt\n{machine}\n{nodes}")
        bare.inv("up", "--definition", "vm.yaml", "--until", "loadbalancer")
        assert bare.needs() == listed("python", *LIBVIRT)

    @pytest.mark.parametrize(
        ("argv", "groups"),
        [
            (["up", "-u", "machines"], NOTHING_BUILT),
            (["up"], LIBVIRT),
            (["up", "--until", "workers"], LIBVIRT),
            (["up", "--until", "loadbalancer", "--until", "control-plane"], LIBVIRT),
            (["up", "--until", "loadbalancer", "--provider", "lxc"], LXC),
            (["up", "--until", "loadbalancer", "--provider", "auto"], NOTHING_BUILT),
            (["bench", "up", "--until", "loadbalancer"], LIBVIRT),
        ],
    )
    def test_kubernetes_and_containers_are_built_whatever_box_is_named(
        self, bare: Host, argv: list[str], groups: Sequence[str]
    ) -> None:
        (bare.folder / "vm.yaml").write_text('provider: "libvirt"\nmachine:\n  box: {name: a/b}\nnodes: []\n')
        bare.inv(*argv, "--definition", "vm.yaml")
        assert bare.needs() == listed("python", *groups)

    @pytest.mark.parametrize(
        ("text", "virtual"),
        [
            ("libvirt:\n  uri: qemu+ssh://far/system\n", True),
            ('libvirt: {uri: "qemu:///system"}\n', True),
            ("libvirt:\n  driver: 'kvm'\n", True),
            ("libvirt: {driver: qemu}\n", True),
            ("libvirt: {uri: '', driver: auto}\n", False),
            ("libvirt:\n  # uri: qemu:///system\n  driver: auto  # or driver: kvm\n", False),
            ("machine:\n  memory: 512\n  box:\n    # ours\n    name: debian/bookworm64\nkubernetes: {}\n", True),
            ("machine: {box: {version: '12', name: 'debian/bookworm64'}}\n", True),
            ("machine:\n  box: {name: debian/bookworm64,\n    version: '12'}\n", True),
            ("machine:\n  box:\n    name: ''\n    version: ''\n", False),
            ("machine: {box: {}}\nkubernetes:\n  extra_sans: [name]\n", False),
            ("machine:\n  box:\n", False),
        ],
    )
    def test_what_only_virtual_machines_have_counts(self, bare: Host, text: str, virtual: bool) -> None:
        nodes = "nodes:\n  - {name: m1, role: master}\n  - name: w1\n    role: worker\n"
        file = bare.folder / "lab.yaml"
        for whole in (f"name: ha\nprovider: auto\n{text}{nodes}", f"name: ha\n{nodes}{text}"):
            file.write_text(whole)
            chosen = choice.for_virtual_machines(load(file))
            assert bool(chosen) == virtual, "the same rule as in lab/providers/choice.py"
            bare.installed.write_text("".join(f"{name}\n" for name in listed("python")))
            bare.inv("up", "--definition", "lab.yaml")
            assert ("vagrant-libvirt" in bare.installed.read_text().split()) == virtual, whole
            assert ("vagrant-lxc" in bare.installed.read_text().split()) != virtual, whole

    def test_a_lab_that_is_there_keeps_its_provider(self, bare: Host) -> None:
        site = bare.folder / "clone/.lab/vm/site.json"
        site.parent.mkdir(parents=True)
        site.write_text('{\n "provider": "libvirt",\n "driver": "qemu"\n}\n')
        bare.inv("status")
        assert "libvirt-dev" in bare.installed.read_text().split()

    def test_without_root_it_says_what_to_type(self, tmp_path: Path) -> None:
        host = Host(tmp_path, uid=1000, packages=listed("python", "common", "build"))
        done = host.inv("up", "--provider", "lxc")
        assert done.returncode == 64
        assert "this needs root; run: sudo apt-get install --no-install-recommends lxc vagrant-lxc" in done.stderr
        assert host.log("apt") == []

    def test_without_apt_it_lists_programs_and_stops(self, bare: Host) -> None:
        bare.program("apt-get").unlink()
        bare.write_program("vagrant", "#!/bin/sh\n")
        done = bare.inv("up", "--provider", "lxc")
        assert done.returncode == 64
        said = done.stderr.strip().split(":")[-1].split()
        assert {"lxc-start", "mmdebstrap"} <= set(said)
        assert "vagrant" not in said
        assert done.stdout == ""
        assert "built on Debian 12 only; README.md" in done.stderr

    def test_without_apt_nobody_is_asked_for_what_is_not_built(self, bare: Host) -> None:
        bare.program("apt-get").unlink()
        (bare.folder / "vm.yaml").write_text(
            "provider: libvirt\nmachine:\n  box: {name: debian/bookworm64}\nnodes: []\n"
        )
        done = bare.inv("up", "--definition", "vm.yaml", "--until", "loadbalancer")
        assert done.returncode == 64
        said = set(done.stderr.strip().split(":")[-1].split())
        assert {"vagrant", "qemu-img"} <= said
        assert not said & {"go", "mmdebstrap", "dpkg-source", "mcopy", "syslinux", "sfdisk", "lxc-start"}
        assert "Debian 12 only" not in done.stderr

    def test_a_failure_shows_aptss_last_words_and_where_the_rest_is(self, bare: Host) -> None:
        (bare.folder / "apt-fails").touch()
        done = bare.inv("up", "--provider", "lxc")
        assert done.returncode == 1
        assert "E: Unable to locate package" in done.stderr
        log = Path(done.stderr.split("all of the output: ")[1].split(")")[0])
        assert "Unable to locate" in log.read_text()


class TestServices:
    """No service of an installed package starts, and the host's own rules come back unharmed."""

    def test_they_are_blocked_while_packages_are_installed_only(self, bare: Host) -> None:
        bare.inv("up", "--provider", "lxc")
        assert (bare.folder / "policy-seen").read_text().endswith("exit 101\n")
        assert list((bare.folder / "sbin").iterdir()) == []

    @pytest.mark.parametrize("kind", ["file", "link"])
    @pytest.mark.parametrize("ends", ["well", "ill"])
    def test_the_hosts_own_policy_comes_back(self, bare: Host, kind: str, ends: str) -> None:
        own = bare.folder / "own-policy"
        own.write_text("#!/bin/sh\nexit 104\n")
        own.chmod(0o750)
        if kind == "link":
            bare.policy.symlink_to(own)
        else:
            own.rename(bare.policy)
        if ends == "ill":
            (bare.folder / "apt-fails").touch()
        bare.inv("up", "--provider", "lxc")
        assert "exit 101" in (bare.folder / "policy-seen").read_text()
        assert bare.policy.is_symlink() == (kind == "link")
        assert bare.policy.read_text() == "#!/bin/sh\nexit 104\n"
        assert bare.policy.stat().st_mode & 0o777 == 0o750
        assert [file.name for file in bare.policy.parent.iterdir()] == ["policy-rc.d"]

    def interrupted(self, host: Host, number: signal.Signals) -> int:
        """Run until apt is at work, then send the signal as a terminal does: to all."""
        (host.folder / "apt-waits").touch()
        process = host.start("up", "--provider", "lxc")
        deadline = time.monotonic() + 20
        while not (host.folder / "waiting").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, number)
        process.communicate(timeout=20)
        (host.folder / "apt-waits").unlink()
        return process.returncode

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupt_restores_it(self, bare: Host, number: signal.Signals) -> None:
        bare.policy.write_text("own")
        assert self.interrupted(bare, number) == 130
        assert bare.policy.read_text() == "own"
        assert [file.name for file in bare.policy.parent.iterdir()] == ["policy-rc.d"]

    @pytest.mark.parametrize("own", ["", "own"])
    def test_what_sigkill_prevented_the_next_call_does(self, bare: Host, own: str) -> None:
        if own:
            bare.policy.write_text(own)
        self.interrupted(bare, signal.SIGKILL)
        assert "exit 101" in bare.policy.read_text()
        bare.inv("--list")
        assert [file.read_text() for file in bare.policy.parent.iterdir()] == ([own] if own else [])

    def test_a_second_call_leaves_it_to_the_one_at_work(self, bare: Host) -> None:
        (bare.folder / "apt-waits").touch()
        process = bare.start("up", "--provider", "lxc")
        deadline = time.monotonic() + 20
        while not (bare.folder / "waiting").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        bare.inv("--list")
        assert "exit 101" in bare.policy.read_text()
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)

    def test_units_that_came_with_it_do_not_start_at_the_next_boot(self, bare: Host) -> None:
        (bare.folder / "systemd").mkdir()
        bare.inv("up", "--provider", "lxc")
        assert [line for line in bare.log("systemctl") if line.startswith("disable")] == ["disable --quiet lxc"]
        assert not any("haproxy" in line or "libvirt" in line for line in bare.log("systemctl")), "not ours to touch"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not here")
@pytest.mark.parametrize("dialect", ["sh", "bash"])
def test_shellcheck_has_nothing_to_say(dialect: str) -> None:
    argv = ["shellcheck", f"--shell={dialect}", "--severity=style", str(FOLDER / "inv")]
    assert subprocess.run(argv, capture_output=True, text=True).stdout == ""


def test_every_list_of_packages_has_one_of_programs() -> None:
    lists = {file.name for file in (FOLDER / "host").iterdir()}
    groups = {name.partition(".")[0] for name in lists}
    assert lists == {f"{group}.{kind}" for group in groups for kind in ("packages", "programs")}
