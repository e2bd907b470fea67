"""What is rendered is what was rendered before (golden files), and the services' own programs accept it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from judges import haproxy, keepalived, shellcheck
from ruamel.yaml import YAML
from samples import DEFINITIONS, FOLDER, own, site, topology

from lab.plan import STEPS, File, render
from lab.plan.render import TemplateFault
from lab.plan.show import overview
from lab.plan.steps import Step
from lab.topology import Topology

GOLDEN = Path(__file__).parent / "golden"

#: The definitions that show a difference of interest in what services are told; ``ha`` is pinned as a whole besides.
SERVICES = {"haproxy.cfg", "keepalived.conf", "haproxy-alive", "haproxy-check"}

Golden = Callable[[Path, dict[str, str]], None]


def rendered(name: str) -> dict[str, File]:
    """What runs inside the machines of one definition."""
    lab = topology(name)
    return render(lab, own(lab), vagrantfile=False)


def of_nodes(files: dict[str, File], names: set[str]) -> dict[str, dict[str, str]]:
    """Files of these names, by node."""
    nodes: dict[str, dict[str, str]] = {}
    for path, file in files.items():
        parts = Path(path).parts
        if parts[-1] in names:
            nodes.setdefault(parts[1], {})[parts[-1]] = file.content
    return nodes


def test_the_default_lab_is_rendered_as_before(golden: Golden) -> None:
    golden(GOLDEN / "ha", {path: file.content for path, file in render(topology("ha"), site()).items()})


@pytest.mark.parametrize("name", sorted(DEFINITIONS.keys() - {"ha"}))
def test_services_are_told_what_they_were_told_before(name: str, golden: Golden) -> None:
    files = rendered(name)
    golden(GOLDEN / name, {path: file.content for path, file in files.items() if Path(path).name in SERVICES})


def test_the_default_lab_on_emulated_machines_is_told_slower_timers(golden: Golden) -> None:
    lab = topology("ha", "qemu")
    files = render(lab, site("libvirt"), vagrantfile=False)
    golden(GOLDEN / "ha-emulated", {path: file.content for path, file in files.items() if Path(path).name in SERVICES})
    golden(GOLDEN / "plan" / "ha-emulated", {"overview.txt": told(lab)})


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_plan_says_of_a_definition_what_it_said_before(name: str, golden: Golden) -> None:
    golden(GOLDEN / "plan" / name, {"overview.txt": told(topology(name))})


def told(lab: Topology) -> str:
    """What plan says of a lab, as text."""
    shown = overview(lab)
    lines = [f"{label}: {value}" for label, value in shown.facts]
    for table in (shown.nodes, shown.promises):
        lines += ["", " | ".join(table.heads), *(" | ".join(row) for row in table.rows)]
    lines += ["", *shown.risks]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_rendering_twice_gives_the_same_bytes(name: str) -> None:
    assert rendered(name) == rendered(name)


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_haproxy_accepts_its_configuration(name: str) -> None:
    nodes = of_nodes(rendered(name), {"haproxy.cfg"})
    assert len(nodes) == len(topology(name).load_balancers)
    assert [haproxy(files["haproxy.cfg"]) for files in nodes.values()] == [""] * len(nodes)


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_keepalived_accepts_its_configuration(name: str, tmp_path: Path) -> None:
    nodes = of_nodes(rendered(name), SERVICES - {"haproxy.cfg"})
    assert len(nodes) == len(topology(name).load_balancers)
    assert keepalived(nodes, tmp_path) == ""


def test_the_judges_do_object(tmp_path: Path) -> None:
    """A judge that accepts everything would prove nothing."""
    files = of_nodes(rendered("ha"), SERVICES)["master1"]
    assert "htpchk" in haproxy(files["haproxy.cfg"].replace("option httpchk", "option htpchk"))
    broken = {
        "interface": files["keepalived.conf"].replace("interface eth0", "interface eth7"),
        "priority": files["keepalived.conf"].replace("priority 254", "priority 256"),
        "user": files["keepalived.conf"].replace("script_user root", "script_user nosuchuser"),
    }
    nodes = {name: {**files, "keepalived.conf": text} for name, text in broken.items()}
    nodes["script"] = {"keepalived.conf": files["keepalived.conf"]}
    said = keepalived(nodes, tmp_path / "keepalived")
    assert all(f"{name}: status" in said for name in ("interface", "priority", "script", "user")), said
    script = tmp_path / "x.sh"
    script.write_text("#!/bin/bash\nrm $1\n")
    assert "SC2086" in shellcheck([script])


@pytest.mark.parametrize(("name", "provider"), [("ha", "lxc"), ("other-names", "libvirt")])
def test_shellcheck_accepts_every_script(name: str, provider: str, tmp_path: Path) -> None:
    scripts: list[Path] = []
    lab = topology(name)
    kinds = {node.name for node in (*lab.control_planes[:2], lab.workers[0])}
    for path, file in render(lab, site(provider), vagrantfile=False).items():
        shell = file.content.startswith(("#!/bin/bash", "#!/usr/bin/env bash"))
        if shell and Path(path).parts[1] in kinds:
            scripts.append(tmp_path / path)
            scripts[-1].parent.mkdir(parents=True, exist_ok=True)
            scripts[-1].write_text(file.content)
    assert len(scripts) >= 20
    assert shellcheck(scripts) == ""


def test_every_script_stops_at_its_first_error_and_installs_stand_alone() -> None:
    for path, file in rendered("ha").items():
        if path.endswith(".sh"):
            assert "set -euo pipefail" in file.content.splitlines()[:5], path
            assert file.mode == 0o755, path
    assert shellcheck(sorted((FOLDER / "provision").rglob("*.sh"))) == ""


def test_python_and_yaml_files_parse() -> None:
    for path, file in rendered("ha").items():
        if path.endswith(".py"):
            ast.parse(file.content, path)
        if path.endswith(".yaml"):
            assert all(document for document in YAML(typ="safe", pure=True).load_all(file.content)), path


def test_a_script_embeds_the_very_file_that_lies_beside_it() -> None:
    files = rendered("article")
    for name in ("haproxy.cfg", "keepalived.conf", "haproxy-check"):
        script = "haproxy.sh" if name == "haproxy.cfg" else "keepalived.sh"
        assert files[f"nodes/master2/{name}"].content in files[f"nodes/master2/{script}"].content


@pytest.mark.parametrize(("cgroups", "kubelet", "runtime"), [("v1", "cgroupfs", "false"), ("v2", "systemd", "true")])
def test_kubelet_and_runtime_agree_on_who_makes_control_groups(cgroups: str, kubelet: str, runtime: str) -> None:
    files = render(topology("ha"), replace(site(), cgroups=cgroups))
    init = YAML(typ="safe").load_all(files["nodes/master1/kubeadm-init.yaml"].content)
    assert {part["kind"]: part["cgroupDriver"] for part in init if "cgroupDriver" in part} == {
        "KubeletConfiguration": kubelet
    }
    for node in topology("ha").nodes:
        assert f"SystemdCgroup = {runtime}\n" in files[f"nodes/{node.name}/config.toml"].content


def test_no_join_credential_is_made_before_one_is_minted() -> None:
    """Left alone, init makes a token of its own, and whoever finds it may join for a day."""
    init = YAML(typ="safe").load_all(rendered("ha")["nodes/master1/kubeadm-init.yaml"].content)
    tokens = [part.get("bootstrapTokens") for part in init if part["kind"] == "InitConfiguration"]
    assert tokens == [[{"ttl": "1s"}]]


def test_only_masters_balance_load() -> None:
    paths = rendered("other-names")
    assert "nodes/beta-2/keepalived.sh" in paths
    assert not [
        path for path in paths if path.startswith("nodes/gamma/") and ("haproxy" in path or "keepalived" in path)
    ]


def test_a_missing_template_is_named() -> None:
    step = Step("dance", "music", template="waltz.sh.j2")
    with pytest.raises(TemplateFault, match=r"provision/music/waltz\.sh\.j2 is missing"):
        render(topology("ha"), site(), [*STEPS, step], vagrantfile=False)


@pytest.mark.parametrize("text", ["$(id)", "a b", "x\n", '"', "#{x}", "ü"])
def test_a_text_that_no_filter_has_written_is_put_nowhere(text: str, tmp_path: Path) -> None:
    (tmp_path / "provision" / "x").mkdir(parents=True)
    (tmp_path / "provision" / "x" / "x.sh.j2").write_text("set -euo pipefail\necho {{ site.payload }}\n")
    with pytest.raises(TemplateFault, match=r"x/x\.sh\.j2: .* is no plain word"):
        render(topology("ha"), replace(site(), payload=text), [Step("x", "x")], vagrantfile=False, folder=tmp_path)


def test_a_variable_that_does_not_exist_is_no_empty_text(tmp_path: Path) -> None:
    (tmp_path / "provision" / "x").mkdir(parents=True)
    (tmp_path / "provision" / "x" / "x.sh.j2").write_text("set -euo pipefail\necho {{ node.colour }}\n")
    with pytest.raises(TemplateFault, match="colour"):
        render(topology("ha"), site(), [Step("x", "x")], vagrantfile=False, folder=tmp_path)
