"""What is let pass is rendered to what haproxy and keepalived accept; what is not is refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from altered import Data, fields, replaced
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from judges import haproxy, keepalived, vagrant
from samples import FOLDER, site
from yamltext import dump

from lab.definition import Definition, DefinitionError, Severity, check, load, parse
from lab.definition.load import judged
from lab.definition.problem import touches
from lab.definition.source import Source
from lab.plan import STEPS, render, write
from lab.program import main
from lab.topology import Topology, derive

#: Definitions at every run (the same each time, so that CI says the same twice), and with ./inv test --all.
FEW, MANY = 12, 200

#: Of these, as many are shown to Vagrant, which needs seconds to look at one.
FEW_FILES, MANY_FILES = 4, 30

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name not in ("vip", "localhost")
)

CPUS, MEMORY = st.integers(1, 64), st.integers(128, 262144)


def milliseconds(low: int, high: int) -> st.SearchStrategy[float]:
    """Seconds, to the millisecond."""
    return st.integers(low, high).map(lambda count: count / 1000)


@st.composite
def networks(draw: st.DrawFn) -> Data:
    """Three networks that are apart, and a VIP."""
    subnet = IPv4Network((draw(st.integers(0, 250)) << 16 | 0x0A000000, draw(st.integers(20, 28))))
    hosts = subnet.num_addresses - 2
    return {
        "subnet": str(subnet),
        "vip": str(IPv4Address(int(subnet.network_address) + draw(st.integers(hosts - 2, hosts)))),
        "port": draw(st.integers(8000, 29999).filter(_not_taken)),
        "pods": f"172.{draw(st.sampled_from([16, 20, 24]))}.0.0/{draw(st.integers(16, 20))}",
        "services": f"192.168.{draw(st.sampled_from([0, 64, 128]))}.0/{draw(st.integers(18, 24))}",
    }


def _not_taken(port: int) -> bool:
    return not 10248 <= port <= 10259


@st.composite
def keepaliveds(draw: st.DrawFn) -> Data:
    """Every way in which the VIP may be guarded."""
    version = draw(st.sampled_from([2, 3]))
    interval = draw(st.integers(1, 40)) if version == 2 else draw(st.integers(1, 4095)) / 100
    how = draw(st.sampled_from(["track_file", "script"]))
    weight = draw(
        st.one_of(st.just(0), st.integers(-254 if how == "track_file" else -253, 0 if how == "track_file" else 253))
    )
    checks = {}
    for name in ("detection", "hang_check"):
        every = draw(st.integers(1, 60))
        checks[name] = {
            "interval": every,
            "timeout": draw(st.integers(1, every)),
            "fall": draw(st.integers(1, 10)),
            "rise": draw(st.integers(1, 10)),
        }
    test = draw(st.sampled_from(["listening", "answers", "apiserver"] if weight else ["listening", "answers"]))
    preempt = draw(st.booleans()) if weight == 0 else True
    return {
        "vrrp_version": version,
        "advert_interval": interval,
        "state": draw(st.sampled_from(["BACKUP", "MASTER"])) if preempt else "BACKUP",
        "router_id": draw(st.integers(1, 255)),
        "preempt": preempt,
        "detection": {"how": how, "weight": weight, "test": test, **checks["detection"]},
        "hang_check": {"enabled": draw(st.booleans()), **checks["hang_check"]},
        "garp": {
            "repeat": draw(st.integers(1, 10)),
            "delay": draw(st.integers(0, 10)),
            "refresh": draw(st.integers(0, 60)),
        },
    }


@st.composite
def haproxies(draw: st.DrawFn) -> Data:
    """Every way in which connections may be given out."""
    return {
        "balance": draw(st.sampled_from(["roundrobin", "static-rr", "leastconn", "first", "source", "random"])),
        "retries": draw(st.integers(0, 10)),
        "redispatch": draw(st.sampled_from(["every", "last", "never"])),
        "timeouts": {
            "connect": draw(milliseconds(10, 10_000)),
            "check": draw(milliseconds(10, 10_000)),
            "client": draw(milliseconds(100, 600_000)),
            "server": draw(milliseconds(100, 600_000)),
            "tunnel": draw(st.none() | milliseconds(100, 86_400_000)),
        },
        "check": {
            "kind": draw(st.sampled_from(["httpchk", "tcp"])),
            "path": draw(st.from_regex(r"/[A-Za-z0-9_.~!&()*+,;=:@/?-]{0,20}", fullmatch=True)),
            "inter": draw(milliseconds(10, 60_000)),
            "fall": draw(st.integers(1, 10)),
            "rise": draw(st.integers(1, 10)),
        },
    }


@st.composite
def definitions(draw: st.DrawFn) -> Data:
    """A definition whose every field is right by itself; its weight may still not fit its priorities."""
    masters, workers = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    names = draw(st.lists(LABELS, min_size=masters + workers, max_size=masters + workers, unique=True))
    nodes: list[Data] = [{"name": name, "role": "master" if i < masters else "worker"} for i, name in enumerate(names)]
    if draw(st.booleans()):
        ranks = draw(st.lists(st.integers(1, 254), min_size=masters, max_size=masters))
        for node, rank in zip(nodes, ranks, strict=False):
            node["priority"] = rank
    for node in nodes:
        node.update(draw(st.fixed_dictionaries({}, optional={"cpus": CPUS, "memory": MEMORY})))
    return {
        "machine": {"cpus": draw(CPUS), "memory": draw(MEMORY)},
        "name": draw(st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True)),
        "network": draw(networks()),
        "nodes": draw(st.permutations(nodes)),
        "keepalived": draw(keepaliveds()),
        "haproxy": draw(haproxies()),
    }


PROVIDERS = st.sampled_from(["lxc", "libvirt"])

#: Looks at what is rendered for a definition and a provider; False when it was refused, so that nothing was rendered.
Judge = Callable[[Data, str], bool]


#: Shrinking an example asks the services hundreds of times: only the long tests do.
@pytest.mark.parametrize(("number", "judge"), [(FEW, "services"), (FEW_FILES, "vagrant")])
def test_what_is_let_pass_is_accepted_by_those_who_read_it(number: int, judge: str) -> None:
    phases = (Phase.explicit, Phase.generate)
    shown(JUDGES[judge], settings(max_examples=number, derandomize=True, phases=phases))


@pytest.mark.long
@pytest.mark.parametrize(("number", "judge"), [(MANY, "services"), (MANY_FILES, "vagrant")])
def test_so_are_many_others(number: int, judge: str) -> None:
    shown(JUDGES[judge], settings(max_examples=number))


def shown(judge: Judge, how: settings) -> None:
    """Show a judge random definitions; a good part of them must get as far as that."""
    judged = []

    @settings(how, deadline=None, suppress_health_check=list(HealthCheck))
    @given(definitions(), PROVIDERS)
    def one(data: Data, provider: str) -> None:
        judged.append(judge(data, provider))

    one()
    assert sum(judged) >= len(judged) / 4, f"of {len(judged)} definitions only {sum(judged)} were let pass"


def let_pass(data: Data) -> Topology | None:
    """The topology of a definition, None when it is refused for the one reason that may be."""
    try:
        definition = parse(dump(data))
    except DefinitionError as error:
        errors = {problem.path for problem in error.problems if problem.severity is Severity.ERROR}
        assert errors == {"keepalived.detection.weight"}, str(error)
        return None
    emulated = check(derive(definition, "qemu").definition)
    assert [problem for problem in emulated if problem.severity is Severity.ERROR] == [], "right on one driver only"
    return derive(definition, driver="")


def by_vagrant(data: Data, provider: str) -> bool:
    """Vagrant, with the plugin of the provider, judges the Vagrantfile."""
    topology = let_pass(data)
    if topology is None:
        return False
    with TemporaryDirectory() as folder:
        payload = Path(folder) / "payload"
        payload.mkdir()  # the plugin for virtual machines wants a folder that is handed to them to exist
        (Path(folder) / "ssh_key").touch()  # and Vagrant the key
        write(render(topology, replace(site(provider), payload=str(payload))), Path(folder))
        assert vagrant(Path(folder), provider) == ""
    return True


def by_services(data: Data, provider: str) -> bool:
    """haproxy and keepalived judge their configurations."""
    topology = let_pass(data)
    if topology is None:
        return False
    steps = [step for step in STEPS if step.component in ("haproxy", "keepalived")]
    nodes: dict[str, dict[str, str]] = {}
    for path, file in render(topology, site(provider), steps, vagrantfile=False).items():
        nodes.setdefault(Path(path).parts[1], {})[Path(path).name] = file.content
    configs = {files["haproxy.cfg"].partition("\n")[2] for files in nodes.values()}
    assert len(configs) == 1, "all masters balance alike; only the first line says which one it is"
    assert haproxy(configs.pop()) == ""
    with TemporaryDirectory() as folder:
        assert keepalived(nodes, Path(folder)) == ""
    return True


JUDGES: Mapping[str, Judge] = {"services": by_services, "vagrant": by_vagrant}


#: Values that some field or other cannot have: nothing, numbers, words, addresses, hostile texts, lists and mappings.
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 7, 255, 10**12, 10**400, 1.5, float("nan"), float("inf")),
    *("", "x", "X y", "7", "10.21.0.12", "10.21.0.0/24", "::1", "a" * 300, "a\nb", "{{ d }}", "$(id)", "ü"),
    *([], [[]], ["x", "x"], {}, {"x": 1}, [{}]),
)

#: The default definition with every field set that has a value.
FULL: Data = load(FOLDER / "configs" / "ha.yaml").model_dump(mode="json", exclude_none=True)
FIELDS = dict(fields(FULL))


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_one_field_changed_is_let_pass_or_refused_by_name_and_never_a_traceback(path: str) -> None:
    for value in ODD:
        try:
            definition = judged(Source(replaced(FULL, path, value), {}))
        except DefinitionError as error:
            named = [
                problem for problem in error.problems if any(touches(path, p) for p in (problem.path, *problem.also))
            ]
            assert named, f"{path}: {value!r} is refused without its name: {error}"
            assert all(problem.right for problem in error.problems), str(error)
        else:
            assert isinstance(definition, Definition)
            check(definition)


@pytest.mark.parametrize("path", sorted(path for path, value in FIELDS.items() if not isinstance(value, (dict, list))))
def test_a_mapping_or_a_list_where_a_value_belongs_is_refused(path: str) -> None:
    for value in ({"x": 1}, [[]]):
        with pytest.raises(DefinitionError) as caught:
            judged(Source(replaced(FULL, path, value), {}))
        assert path in {problem.path for problem in caught.value.problems}


@pytest.mark.parametrize("path", sorted(path for path, value in FIELDS.items() if not isinstance(value, (dict, list))))
def test_the_command_line_refuses_it_by_its_name_too(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(dump(replaced(FULL, path, [{"x": 1}])))
    assert main(["plan", "--definition", str(wrong)]) == 64
    out, err = capsys.readouterr()
    assert f"{wrong}: " in err.replace("\n", "")
    assert path in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_a_field_spelt_wrong_is_refused_by_its_name(path: str) -> None:
    if path.endswith("]"):
        return  # an item of a list has no name
    section, _, name = path.rpartition(".")
    changed = copy.deepcopy(FULL)
    place: Any = changed
    for part in section.replace("[", ".").replace("]", "").split(".") if section else []:
        place = place[int(part) if part.isdigit() else part]
    place[f"{name}x"] = place.pop(name)
    with pytest.raises(DefinitionError) as caught:
        judged(Source(changed, {}))
    wrong = next(problem for problem in caught.value.problems if problem.path == f"{path}x")
    assert wrong.wrong == "there is no such field"
    assert wrong.right == f"{name}?"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(alphabet=st.sampled_from(list("nodes: [{}],&*!-?|>#\n\t'\"a1.%@")), max_size=60))
def test_no_text_whatever_gives_a_traceback(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse(text)
