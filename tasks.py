"""Invoke tasks: read arguments, call lab/, show results. No logic of its own.

Imports stand inside the tasks: ``./inv --list`` must answer at once.
"""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

#: What stood behind ssh, kubectl or enter on the command line (lab.program puts it here, untouched).
HANDED_ON: list[str] = []

COMMON = {
    "lab": "the lab's name (default: the definition's)",
    "definition": "the lab's definition (default: configs/ha.yaml)",
}


@task(
    help={
        **COMMON,
        "provider": "auto, libvirt or lxc (default: the definition's)",
        "until": "stop after this stage: machines, loadbalancer, control-plane or workers",
        "refresh": "build box and payload anew even when the cache has them",
        "start-again": "give a cluster up that lost its quorum for good, with all that is in it, and begin anew",
        "verbose": "show every line that machines and builds print",
    }
)
def up(
    _: Context,
    definition: str = "",
    provider: str = "",
    until: str = "workers",
    lab: str = "",
    refresh: bool = False,
    start_again: bool = False,
    verbose: bool = False,
) -> None:
    """Render, boot, provision and wait until healthy; goes on where an earlier one stopped."""
    from lab.commands import up

    up.run(definition, lab, provider, until, refresh=refresh, start_again=start_again, verbose=verbose)


@task(help={**COMMON, "provider": "auto, libvirt or lxc"})
def plan(_: Context, definition: str = "", lab: str = "", provider: str = "") -> None:
    """Render everything into the lab's folder and show it; touches nothing else."""
    from lab.commands import plan

    plan.run(definition, lab, provider)


@task(help={**COMMON, "all": "also the kept runs and rendered files"})
def destroy(_: Context, lab: str = "", definition: str = "", all: bool = False) -> None:
    """Remove all that up made; a second one is no error."""
    from lab.commands import destroy

    destroy.run(lab, definition, everything=all)


@task(help={**COMMON, "json": "for programs", "watch": "again and again until Ctrl-C"})
def status(_: Context, lab: str = "", definition: str = "", json: bool = False, watch: bool = False) -> None:
    """Machines, VIP holder, backends, nodes, leases, etcd members."""
    from lab.commands import status

    status.run(lab, definition, as_json=json, watch=watch)


@task(iterable=["case"], help={**COMMON, "case": "a case's name; may be given several times (default: all)"})
def verify(_: Context, case: list[str], lab: str = "", definition: str = "") -> None:
    """Run the validation cases against the running lab, heal every fault made, write a run folder."""
    from lab.commands import verify

    verify.run(lab, definition, tuple(case))


@task(help=COMMON)
def enter(_: Context, lab: str = "", definition: str = "") -> None:
    """A shell, or one command, inside the lab's network: ./inv enter [CMD …]."""
    from lab.commands import handover

    handover.enter(lab, definition, HANDED_ON)


@task(help=COMMON)
def ssh(_: Context, lab: str = "", definition: str = "") -> None:
    """A shell, or one command, on a machine: ./inv ssh NODE [CMD …]."""
    from lab.commands import handover

    handover.ssh(lab, definition, HANDED_ON)


@task(help=COMMON)
def kubectl(_: Context, lab: str = "", definition: str = "") -> None:
    """kubectl through the virtual IP: ./inv kubectl ARGS …"""
    from lab.commands import handover

    handover.kubectl(lab, definition, HANDED_ON)


@task(help={"provider": "auto, libvirt or lxc", "definition": COMMON["definition"]})
def doctor(_: Context, definition: str = "", provider: str = "") -> None:
    """Can this machine run it, what would be chosen and why."""
    from lab.commands import doctor

    doctor.run(definition, provider)


@task(help={"fast": "static checks and pure tests only", "all": "the long tests too"})
def test(_: Context, fast: bool = False, all: bool = False) -> None:
    """The project's own tests."""
    from lab.commands import test

    test.run(fast=fast, everything=all)


@task(help=COMMON)
def halt(_: Context, lab: str = "", definition: str = "") -> None:
    """Shut the whole lab down in good order."""
    from lab.commands import power

    power.halt(lab, definition)


@task(help=COMMON)
def resume(_: Context, lab: str = "", definition: str = "") -> None:
    """Switch a halted, killed or paused lab on and wait until it is healthy."""
    from lab.commands import power

    power.resume(lab, definition)


@task(name="power", positional=["action", "node"], help={**COMMON, "action": "on or off", "node": "the machine"})
def power_(_: Context, action: str, node: str, lab: str = "", definition: str = "") -> None:
    """Cut one machine's power, or switch it on: ./inv power off|on NODE."""
    from lab.commands import power

    power.power(lab, definition, action, node)


@task(
    positional=["name"],
    help={**COMMON, "name": "what to call it (without: list them)", "node": "one machine alone (default: all)"},
)
def snapshot(_: Context, name: str, lab: str = "", definition: str = "", node: str = "") -> None:
    """Keep the lab, or one machine, as it is (virtual machines only); without NAME lists what is kept."""
    from lab.commands import power

    power.snapshot(lab, definition, name, node)


@task(positional=["name"], help={**COMMON, "name": "the snapshot's name", "node": "one machine alone (default: all)"})
def restore(_: Context, name: str, lab: str = "", definition: str = "", node: str = "") -> None:
    """Put the lab, or one machine, back to a snapshot (virtual machines only)."""
    from lab.commands import power

    power.restore(lab, definition, name, node)


@task
def labs(_: Context) -> None:
    """Every lab of this clone."""
    from lab.commands import labs

    labs.run()


@task(help=COMMON)
def logs(_: Context, lab: str = "", definition: str = "") -> None:
    """One archive with everything needed to diagnose."""
    from lab.commands import logs

    logs.run(lab, definition)


@task(
    positional=["what"],
    iterable=["settings"],
    help={
        **COMMON,
        "what": "up or failover",
        "rounds": "how often each is measured",
        "provider": "for up: auto, libvirt or lxc",
        "settings": "for failover: a definition whose load balancer is compared; several times for several",
    },
)
def bench(
    _: Context,
    what: str,
    settings: list[str],
    rounds: int = 5,
    lab: str = "",
    definition: str = "",
    provider: str = "",
) -> None:
    """Measure several rounds, print and keep a table and a plot: ./inv bench up|failover."""
    from lab.commands import bench

    bench.run(what, rounds, lab, definition, provider, settings)
