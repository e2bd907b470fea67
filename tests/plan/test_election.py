"""What a master's keepalived says, read back from what was rendered, and who understands whom."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import needs
import pytest
from judges import in_namespace
from samples import DEFINITIONS, own, site, topology

from lab.definition import parse
from lab.plan import render
from lab.plan.election import Router, read, router_of
from lab.topology import Topology, derive

ONE = Router(
    address=IPv4Address("10.21.0.11"),
    version=3,
    router_id=51,
    interval=0.2,
    priority=254,
    bonus=0,
    preempts=True,
    peers=frozenset({IPv4Address("10.21.0.12")}),
)
OTHER = replace(ONE, address=IPv4Address("10.21.0.12"), priority=200, peers=frozenset({IPv4Address("10.21.0.11")}))


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_what_was_rendered_is_read_as_it_was_meant(name: str) -> None:
    lab = topology(name)
    files = render(lab, own(lab), vagrantfile=False)
    for node in lab.load_balancers:
        assert read(files[f"nodes/{node.name}/keepalived.conf"].content, node.address) == router_of(lab, node)


def test_settings_of_somebody_else_are_not_guessed() -> None:
    lab = topology("ha")
    text = render(lab, own(lab), vagrantfile=False)["nodes/master1/keepalived.conf"].content
    with_password = text.replace(
        "    virtual_ipaddress {", "    authentication {\n auth_type PASS\n}\n    virtual_ipaddress {"
    )
    for strange in ("", "vrrp_instance x {\n}\n", with_password, text.replace("    priority 254\n", "")):
        assert read(strange, ONE.address) is None


@pytest.mark.parametrize(
    ("change", "understood"),
    [
        ({"interval": 1.0}, True),
        ({"priority": 1}, True),
        ({"version": 2}, False),
        ({"router_id": 52}, False),
        ({"peers": frozenset()}, False),
        ({"peers": frozenset({IPv4Address("10.21.0.13")})}, False),
    ],
    ids=str,
)
def test_version_three_heeds_who_has_its_version_router_id_and_peers(
    change: dict[str, object], understood: bool
) -> None:
    other = replace(OTHER, **change)  # type: ignore[arg-type]
    assert ONE.understands(other) is understood
    assert other.understands(ONE) is understood


def test_version_two_heeds_only_its_own_interval() -> None:
    one, other = replace(ONE, version=2, interval=1.0), replace(OTHER, version=2, interval=1.0)
    assert one.understands(other)
    assert not one.understands(replace(other, interval=2.0))


def test_equal_priorities_take_nothing_from_each_other_but_the_higher_address_comes_first() -> None:
    equal = replace(OTHER, priority=254)
    assert not equal.outranks(ONE)
    assert equal.rank > ONE.rank
    assert not replace(ONE, preempts=False).outranks(OTHER)


def test_the_skew_is_that_of_the_protocol_under_the_longer_interval() -> None:
    assert OTHER.skew(0.2) == pytest.approx(0.04375)
    assert OTHER.skew(1.0) == pytest.approx(0.21875)
    assert replace(OTHER, version=2).skew(1.0) == pytest.approx(0.21875)
    assert replace(ONE, version=2, interval=1.0, priority=100).down_timer == pytest.approx(3.609, abs=0.001)


#: Settings of keepalived that two masters have at the same time.
PAIRS = {
    "equal": ("", ""),
    "slower": ("advert_interval: 0.2", "advert_interval: 0.5"),
    "faster": ("advert_interval: 0.5", "advert_interval: 0.2"),
    "version": ("", "vrrp_version: 2, advert_interval: 1"),
    "router-id": ("", "router_id: 52"),
    "two-slower": ("vrrp_version: 2, advert_interval: 1", "vrrp_version: 2, advert_interval: 2"),
    "two-equal": ("vrrp_version: 2, advert_interval: 1", "vrrp_version: 2, advert_interval: 1, garp: {repeat: 5}"),
}

#: Each pair's masters in networks of their own, joined by a cable: first the better one, then the other beside it.
TOGETHER = """
echo 0 > /run/halab/haproxy-down
until_true() { for _ in $(seq 300); do if "$@"; then return 0; fi; sleep 0.05; done; echo "never: $*"; exit 1; }
holds() { [ -n "$(ip -n "$1" -o addr show to 10.21.0.100/32)" ]; }
begin() {
  ip netns exec "$1-$2" keepalived --dont-fork --use-file "$folder/$1/$2.conf" --pid "/run/$1-$2.pid" \
    --vrrp_pid "/run/$1-$2.vrrp" --checkers_pid "/run/$1-$2.check" > /dev/null 2>&1 &
}
folder=$1 pairs=$(ls "$1")
for pair in $pairs; do
  ip netns add "$pair-1"; ip netns add "$pair-2"
  ip link add eth0 netns "$pair-1" type veth peer name eth0 netns "$pair-2"
  for n in 1 2; do
    ip -n "$pair-$n" addr add "10.21.0.1$n/24" dev eth0
    ip -n "$pair-$n" link set lo up; ip -n "$pair-$n" link set eth0 up
  done
  begin "$pair" 1
done
for pair in $pairs; do until_true holds "$pair-1"; begin "$pair" 2; done
# Longer than the longest down-timer, 6.2 s: whoever has heard nobody by then holds the VIP too.
sleep 8
for pair in $pairs; do
  echo "$pair:$(for n in 1 2; do ! holds "$pair-$n" || printf ' %s' "$n"; done)"
done
kill $(jobs -p)
wait
"""


def beside(settings: str) -> Topology:
    """Two masters with these settings."""
    nodes = "nodes: [{name: m1, role: master}, {name: m2, role: master}]"
    return derive(parse(f"{nodes}\nkeepalived: {{hang_check: {{enabled: false}}, {settings}}}\n"), "")


def test_real_keepalived_heeds_whom_the_router_understands(tmp_path: Path) -> None:
    needs.programs("keepalived", "ip")
    expected = {}
    for name, pair in PAIRS.items():
        one, other = map(beside, pair)
        for number, lab in enumerate((one, other), 1):
            files = render(lab, site(), vagrantfile=False)
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number}.conf").write_text(files[f"nodes/m{number}/keepalived.conf"].content)
        understood = router_of(one, one.node("m1")).understands(router_of(other, other.node("m2")))
        expected[name] = " 1" if understood else " 1 2"
    done = in_namespace(TOGETHER, str(tmp_path))
    assert dict(line.split(":") for line in done.stdout.splitlines()) == expected, done.stderr
    assert len(set(expected.values())) == 2
