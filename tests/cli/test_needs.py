"""What a call of ``./inv`` needs on its host: the words, the definition, the processor and the labs there decide."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.cli.needs import needs
from lab.definition import parse
from lab.definition.provider import for_virtual_machines
from lab.host import processor
from lab.project import FOLDER

LXC = {"common", "build", "lxc"}
LIBVIRT = {"common", "build", "build-libvirt", "libvirt"}
NOTHING_BUILT = {"common", "libvirt"}
NODES = "nodes:\n  - {name: m1, role: master}\n  - name: w1\n    role: worker\n"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without hardware virtualisation; the working folder is one with nothing in it."""
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu vme sse\n")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "KVM", tmp_path / "kvm")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def needed(host: Path, *words: str) -> set[str]:
    found = needs(words, host)
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ("", set()),
        ("--list", set()),
        ("--help up", set()),
        ("up --help", set()),
        ("status --lab up", set()),
        ("ssh master1 apt install libvirt test", set()),
        ("kubectl -p libvirt test", set()),
        ("enter ./inv up", set()),
        ("doctor", set()),
        ("up", LXC),
        ("up -p lxc -u machines", LXC),
        ("up --lab status --provider=libvirt", LIBVIRT),
        ("destroy up -p libvirt", LIBVIRT),
        ("bench up", LXC),
        ("bench up --rounds 0", LXC),
        ("bench --provider libvirt up", LIBVIRT),
        ("bench failover", set()),
        ("test --fast", {*LXC, *LIBVIRT, "test"}),
    ],
)
def test_each_command_needs_what_it_needs(host: Path, words: str, groups: set[str]) -> None:
    assert needed(host, *words.split()) == groups


@pytest.mark.parametrize(
    "words",
    [
        "up --nope",
        "up --until the-end",
        "up --definition nope.yaml",
        "up --definition broken.yaml",
        "bench up failover up",
    ],
)
def test_what_is_wrong_is_the_commands_to_tell_before_anything_is_installed(host: Path, words: str) -> None:
    (host / "broken.yaml").write_text("provider: libvirt\nnodes: []\n")
    assert needed(host, *words.split()) == set()


@pytest.mark.parametrize(
    ("flags", "device", "groups"),
    [("fpu vmx", True, LXC | LIBVIRT), ("fpu svm", False, LXC), ("fpu svmx", True, LXC)],
)
def test_where_kvm_may_work_auto_can_end_with_either_provider(
    host: Path, flags: str, device: bool, groups: set[str]
) -> None:
    (host / "cpuinfo").write_text(f"flags\t\t: {flags} sse\n")
    if device:
        (host / "kvm").touch()
    assert needed(host, "up") == groups


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ("-u machines", NOTHING_BUILT),
        ("--until=loadbalancer", NOTHING_BUILT),
        ("", LIBVIRT),
        ("--until workers", LIBVIRT),
        ("--until control-plane", LIBVIRT),
        ("--until loadbalancer --provider lxc", LXC),
        ("--until loadbalancer --provider auto", NOTHING_BUILT),
    ],
)
def test_with_a_public_box_and_without_kubernetes_nothing_is_built(host: Path, words: str, groups: set[str]) -> None:
    (host / "vm.yaml").write_text(f'provider: "libvirt"\nmachine:\n  box: {{name: a/b}}\n{NODES}')
    assert needed(host, "up", *words.split(), "--definition", "vm.yaml") == groups


def test_a_bench_comes_as_far_as_kubernetes_whatever_box_is_named(host: Path) -> None:
    (host / "vm.yaml").write_text(f"provider: libvirt\nmachine: {{box: {{name: a/b}}}}\n{NODES}")
    assert needed(host, "bench", "up", "-d", "vm.yaml") == LIBVIRT


def test_nothing_is_built_for_the_readmes_example(host: Path) -> None:
    readme = (FOLDER / "README.md").read_text()
    text = next(block for block in readme.split("```") if block.startswith("yaml\n")).removeprefix("yaml\n")
    (host / "vm.yaml").write_text(text)
    assert "`./inv up --definition vm.yaml --until loadbalancer`" in readme
    assert needed(host, "up", "--definition", "vm.yaml", "--until", "loadbalancer") == NOTHING_BUILT


@pytest.mark.parametrize("machine", ["", "machine: {memory: 512}", "machine: {box: {}}", "machine:\n  box: {name: ''}"])
def test_without_a_public_box_one_is_built(host: Path, machine: str) -> None:
    (host / "vm.yaml").write_text(f"provider: libvirt\n{machine}\n{NODES}")
    assert needed(host, "up", "--definition", "vm.yaml", "--until", "loadbalancer") == LIBVIRT


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
        ("machine:\n  box: {name: debian/bookworm64,\n    version: '12'}\n", True),
        ("machine:\n  box:\n    name: ''\n    version: ''\n", False),
        ("machine: {box: {}}\nkubernetes:\n  extra_sans: [name]\n", False),
    ],
)
def test_what_only_virtual_machines_have_counts(host: Path, text: str, virtual: bool) -> None:
    (host / "lab.yaml").write_text(f"name: ha\nprovider: auto\n{text}{NODES}")
    assert bool(for_virtual_machines(parse((host / "lab.yaml").read_text()))) == virtual
    assert needed(host, "up", "--definition", "lab.yaml") == (LIBVIRT if virtual else LXC)


@pytest.mark.parametrize(
    ("site", "groups"),
    [
        ('{\n "provider": "libvirt",\n "driver": "qemu"\n}\n', {"libvirt"}),
        ('{"provider": "lxc"}', set()),
        ("damaged", set()),
        ("[]", set()),
    ],
)
@pytest.mark.parametrize("words", [[], ["status"], ["ssh", "master1"]])
def test_a_lab_that_is_there_keeps_its_provider(host: Path, site: str, groups: set[str], words: Sequence[str]) -> None:
    (host / ".lab/vm").mkdir(parents=True)
    (host / ".lab/vm/site.json").write_text(site)
    assert needed(host, *words) == groups


def test_inv_gets_a_group_a_line_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lab.cli.needs", "test", "--fast"],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(FOLDER)}, cwd="/",
    )  # fmt: skip
    lists = {file.name.partition(".")[0] for file in (FOLDER / "host").iterdir()}
    assert set(done.stdout.split("\n")) == {"", *lists - {"python"}}
    assert done.stderr == ""


def test_what_takes_nothing_costs_nothing() -> None:
    """Half a second is all that ``./inv --list`` has."""
    program = "import sys; from lab.cli.needs import needs; needs(sys.argv[1:]); print(*sys.modules)"
    for words in (["--list"], ["status", "--watch"], ["ssh", "m1", "ls"]):
        argv = [sys.executable, "-P", "-c", program, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(FOLDER)})
        assert not {"invoke", "pydantic", "tasks", "subprocess"} & set(done.stdout.split())
