"""Asking the machines: the observer runs here for real, machines that do not answer are an answer too."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.cluster.observation import Observation, SeenEtcd, SeenMember, SeenNode, ask, observe
from lab.command import CommandTimeout, Result
from lab.definition import parse
from lab.machines.programs import text
from lab.plan import STEPS
from lab.topology import derive

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)

TOPOLOGY = derive(parse("nodes: [{name: m1, role: master}, {name: w1, role: worker}]"), driver="")


@dataclass
class FakeMachine:
    """Runs what a machine would run, here; or answers with what it is given."""

    answer: Result | Exception | None = None
    given: float | None = None
    asked: Sequence[str] = ()

    def run(self, script: str, args: Sequence[str] = (), *, timeout: float, **_: Any) -> Result:
        self.given, self.asked = timeout, args
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        done = subprocess.run(["bash", "-s", "--", *args], input=script, capture_output=True, text=True, timeout=30)
        return Result("observe", done.returncode, done.stdout, done.stderr, 0.1)


def test_the_observer_says_what_it_can_see_and_why_it_cannot_see_the_rest() -> None:
    # A host that is no machine of a lab: no haproxy socket, no apiserver, perhaps no systemd.
    seen = ask(FakeMachine(), TOPOLOGY.node("m1"), "10.21.0.100")  # type: ignore[arg-type]
    assert "unreachable" not in seen
    assert seen["hostname"]
    assert seen["joined"] is False
    assert "127.0.0.1" in seen["addresses"]
    assert "backends" in seen["errors"]


def test_a_worker_is_not_asked_for_what_only_masters_have() -> None:
    seen = ask(FakeMachine(), TOPOLOGY.node("w1"), "10.21.0.100")  # type: ignore[arg-type]
    assert "backends" not in seen.get("errors", {})


def test_the_observer_needs_no_more_than_the_standard_library() -> None:
    argv = [sys.executable, "-I", "-S", "-c", text("observer"), "10.21.0.100", "worker", "10.21.0.14"]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout)["hostname"]


def test_every_unit_that_a_step_starts_is_asked_for() -> None:
    machine = FakeMachine(Result("observe", 0, "{}", "", 0.1))
    ask(machine, TOPOLOGY.node("m1"), "10.21.0.100")  # type: ignore[arg-type]
    assert {"haproxy", "keepalived"} <= {step.unit for step in STEPS if step.unit} <= set(machine.asked)


def test_what_the_observer_prints_has_the_shape_that_is_read() -> None:
    printed = ast.parse(text("observer"))
    main = next(part for part in printed.body if isinstance(part, ast.FunctionDef) and part.name == "main")
    texts = [str(node.value) for node in ast.walk(main) if isinstance(node, ast.Constant)]
    assert set(Observation.__annotations__) - {"unreachable", "errors"} <= set(texts)
    for shape, function in ((SeenNode, "nodes"), (SeenEtcd, "etcd"), (SeenMember, "etcd")):
        (found,) = (part for part in printed.body if isinstance(part, ast.FunctionDef) and part.name == function)
        keys = [
            [key.value for key in node.keys if isinstance(key, ast.Constant)]
            for node in ast.walk(found)
            if isinstance(node, ast.Dict)
        ]
        assert list(shape.__annotations__) in keys


def test_nothing_is_seen_that_nobody_knows_of() -> None:
    seen = ask(FakeMachine(), TOPOLOGY.node("m1"), "10.21.0.100")  # type: ignore[arg-type]
    assert seen.keys() <= Observation.__annotations__.keys()


def test_no_answer_is_an_observation() -> None:
    failed = Result("observe", 255, "", "ssh: no route to host", 5.0, "m1")
    nonsense = Result("observe", 0, "Welcome to Debian", "", 0.1, "m1")
    for answer in (failed, CommandTimeout(failed), nonsense):
        seen = ask(FakeMachine(answer), TOPOLOGY.node("m1"), "10.21.0.100")  # type: ignore[arg-type]
        assert seen.keys() == {"unreachable"}
    assert "no route to host" in str(ask(FakeMachine(failed), TOPOLOGY.node("m1"), "x")["unreachable"])  # type: ignore[arg-type]


def test_observations_come_by_name_and_only_of_machines_that_were_asked() -> None:
    answers = {
        name: FakeMachine(Result("observe", 0, json.dumps({"hostname": name}), "", 0.1)) for name in ("w1", "m1")
    }
    seen = observe(TOPOLOGY, answers)  # type: ignore[arg-type]
    assert {name: one["hostname"] for name, one in seen.items()} == {"m1": "m1", "w1": "w1"}
    assert observe(TOPOLOGY, {}) == {}


def test_an_emulated_machine_is_given_longer_to_answer() -> None:
    definition = parse("nodes: [{name: m1, role: master}]")
    given = {}
    for driver in ("", "kvm", "qemu"):
        machine = FakeMachine(Result("observe", 0, "{}", "", 0.1))
        observe(derive(definition, driver), {"m1": machine})  # type: ignore[dict-item]
        given[driver] = machine.given
    assert given == {"": 15.0, "kvm": 15.0, "qemu": 60.0}


def lease(name: str, seconds_ago: float | None, **more: Any) -> dict[str, Any]:
    renewed = {} if seconds_ago is None else {"renewTime": (NOW - timedelta(seconds=seconds_ago)).isoformat()}
    spec = {"holderIdentity": f"{name}-holder", "leaseDurationSeconds": 15, **renewed, **more}
    return {"metadata": {"name": name}, "spec": spec}


def program(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the observer's text defines, once it has run here."""
    monkeypatch.setattr(sys, "argv", ["observer.py", "10.21.0.100", "worker", "10.21.0.14"])
    defined: dict[str, Any] = {}
    exec(text("observer"), defined)
    return defined


def test_a_lease_that_ran_out_has_no_holder_whatever_name_is_left_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    observer = program(monkeypatch)
    found = observer["holders"]([lease("fresh", 2), lease("old", 16), lease("never", None)], NOW)
    assert found == {"fresh": "fresh-holder", "old": "", "never": ""}
    given = {"metadata": {"name": "x"}, "spec": {"renewTime": "2026-11-23T20:00:00.250000Z"}}
    assert observer["age"](given, datetime(2026, 11, 23, 20, 0, 1, tzinfo=UTC)) == 0.75


def test_what_a_machine_says_of_its_membership(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = program(monkeypatch)
    for function in ("node_uid", "authority"):
        observer[function].__globals__.update(HALAB=tmp_path, PKI=str(tmp_path))
    assert (observer["node_uid"](), observer["authority"]()) == ("", "")
    (tmp_path / "joined").write_text("5e6f\n")
    assert observer["node_uid"]() == "5e6f"
    digests = []
    for name in ("one", "other"):
        make_authority(tmp_path / "ca.crt", name)
        digests.append(observer["authority"]())
        (tmp_path / "ca.crt").write_text((tmp_path / "ca.crt").read_text() + "\n")
        assert observer["authority"]() == digests[-1], "the certificate counts, not the file"
    assert len(set(digests)) == 2


def make_authority(file: Path, name: str) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]
    subprocess.run([*argv, f"/CN={name}", "-keyout", "/dev/null", "-out", str(file)], check=True, capture_output=True)
