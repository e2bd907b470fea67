"""Can etcd ever agree on anything again? Judged by who has data, and by what the survivors know of the members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lab.cluster.quorum import Quorum, at_worst, outlook, survivors
from lab.definition import parse
from lab.topology import derive

MASTERS = derive(
    parse("nodes: [" + ", ".join(f"{{name: m{n}, role: master}}" for n in range(1, 6)) + "]"), ""
).etcd_members
URL = {node.name: f"https://{node.address}:2380" for node in MASTERS}


def seen(data: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """What is seen of five masters; ``data`` has the authority of the cluster of those whose etcd has data."""
    return {node.name: {"etcd_data": node.name in data, "authority": data.get(node.name, "")} for node in MASTERS}


def urls(*names: str) -> list[str]:
    return [URL[name] for name in names]


#: Who has data of which cluster, what each survivor's etcd knows of the members, and what is left by that.
CASES: dict[str, tuple[str, Mapping[str, Sequence[str]], tuple[int, str, bool] | None]] = {
    "two of three left": ("m1 m2", {"m1": ("m1", "m2", "m3"), "m2": ("m1", "m2", "m3")}, (3, "m1 m2", False)),
    "one of three left": ("m3", {"m3": ("m1", "m2", "m3")}, (3, "m3", True)),
    "one of two left": ("m1", {"m1": ("m1", "m2")}, (2, "m1", True)),
    "a join that was killed left one of two": ("m1", {"m1": ("m1", "m2")}, (2, "m1", True)),
    "one of one left": ("m1", {"m1": ("m1",)}, (1, "m1", False)),
    "two of five left": ("m4 m5", {"m4": tuple(URL), "m5": tuple(URL)}, (5, "m4 m5", True)),
    "none left": ("", {}, (5, "", True)),
    "one has not told": ("m1 m2", {"m1": ("m1", "m2", "m3", "m4", "m5")}, None),
    "one of two knows that the dead were removed": (
        "m1 m2",
        {"m1": tuple(URL), "m2": ("m1", "m2", "m3")},
        (3, "m1 m2", False),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left(case: str) -> None:
    data, views, expected = CASES[case]
    found = outlook(
        MASTERS, seen(dict.fromkeys(data.split(), "ours")), {name: urls(*view) for name, view in views.items()}
    )
    if expected is None:
        assert found is None
        return
    assert found is not None
    members, left, gone = expected
    assert (found.members, " ".join(found.left), found.gone) == (members, left, gone)
    assert not set(found.left) & set(found.lost)


def test_data_of_another_cluster_counts_for_nothing() -> None:
    views = {"m1": urls("m1", "m2", "m3"), "m2": urls("m2")}
    found = outlook(MASTERS[:3], seen({"m1": "ours", "m2": "older"}), {"m1": views["m1"], "m2": urls("m1", "m2", "m3")})
    assert found is not None and found.gone
    assert len(found.left) == 1


def test_where_nobody_can_be_asked_every_master_counts_as_a_member() -> None:
    assert at_worst(MASTERS, seen({"m1": "ours", "m4": "ours"}), {}) == Quorum(5, ("m1", "m4"), ("m2", "m3", "m5"))
    assert not at_worst(MASTERS[:3], seen({"m1": "ours", "m3": "ours"}), {}).gone
    assert [node.name for node in survivors(MASTERS, seen({"m4": "ours", "m2": "x"}))] == ["m2", "m4"]


def test_who_has_told_is_believed_where_others_are_silent() -> None:
    """A silent one has its data: it counts as left."""
    found = at_worst(MASTERS, seen({"m1": "ours", "m2": "ours"}), {"m1": urls("m1", "m2", "m3")})
    assert (found.members, found.left, found.gone) == (3, ("m1", "m2"), False)


def test_data_without_a_certificate_authority_is_lost() -> None:
    assert survivors(MASTERS, seen({"m1": "", "m2": "ours"})) == [MASTERS[1]]
    untold = {**seen({}), "m3": {"etcd_data": True}}
    assert survivors(MASTERS, untold) == [MASTERS[2]], "that it could not be read proves nothing"


def test_it_says_how_many_are_left_of_how_many() -> None:
    assert str(Quorum(3, ("m3",), ("m1", "m2"))) == "of 3 etcd members only m3 is left, 2 are needed"
    assert str(Quorum(5, ("m1", "m2"), ())) == "of 5 etcd members only m1 and m2 are left, 3 are needed"
    assert str(Quorum(1, (), ("m1",))) == "of 1 etcd member none is left, 1 is needed"
    assert str(Quorum(3, (), ())) == "of 3 etcd members none is left, 2 are needed"
