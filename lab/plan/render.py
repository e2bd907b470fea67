"""From a topology to files. Pure: templates in, text out; nothing is written here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateRuntimeError,
)
from markupsafe import Markup

from lab import quoting
from lab.errors import LabError
from lab.kubernetes.release import release
from lab.plan.kubeadm import Kubeadm
from lab.plan.site import ContainerSite, Site, VirtualSite
from lab.plan.steps import STEPS, Step, steps_of
from lab.plan.virtual import AUTHORIZED_KEYS, virtual_of
from lab.topology import Topology

#: The project's folder: Vagrantfile.j2 and provision/ lie in it.
FOLDER = Path(__file__).resolve().parent.parent.parent

SCRIPT, PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class File:
    """A rendered file."""

    content: str
    mode: int = PLAIN


class TemplateFault(LabError):
    """A template is missing or wrong: a mistake in provision/ or the Vagrantfile, not in the definition."""


def milliseconds(seconds: float) -> str:
    """A duration as haproxy writes it."""
    return f"{round(seconds * 1000)}ms"


def number(value: float) -> str:
    """A number without a needless fraction: 1, 0.2."""
    return f"{value:g}"


#: Characters to which none of the rendered files' languages gives a meaning in a word.
WORD = re.compile(r"[A-Za-z0-9_.,:/@+=-]*")


def plain(value: Any) -> Any:
    """What a template puts into a file: a plain word, or what a filter has written in the file's language (Markup).

    Raises TemplateRuntimeError for any other text: it could end where it stands, and be run.
    """
    if isinstance(value, str) and not isinstance(value, Markup) and not WORD.fullmatch(value):
        raise TemplateRuntimeError(f"{value!r} is no plain word: a filter must write it in the file's language")
    return value


def writing(quote: Callable[[str], str]) -> Callable[[str], Markup]:
    """A filter that writes a text in a file's language. (Markup is Jinja's word for what needs no more escaping.)"""
    return lambda text: Markup(quote(text))


def environment(folder: Path) -> Environment:
    """Jinja2 as all templates expect it: lines stay as they are.

    A variable that does not exist is an error, and so is a text that a file's reader could take for more than a text.
    """
    env = Environment(
        loader=FileSystemLoader([folder / "provision", folder]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # scripts and configuration files, no HTML: each has a language of its own
        finalize=plain,
    )
    env.filters["ms"] = milliseconds
    env.filters["number"] = number
    env.filters["ruby"] = writing(quoting.ruby)
    env.filters["ruby_bytes"] = writing(quoting.ruby_bytes)
    env.filters["yaml"] = writing(quoting.yaml)
    env.filters["haproxy"] = writing(quoting.haproxy)
    env.filters["xml"] = quoting.xml
    env.filters["fstab"] = quoting.fstab
    return env


@cache
def _shared(folder: Path) -> Environment:
    return environment(folder)


def render(
    topology: Topology,
    site: Site,
    steps: Sequence[Step] = STEPS,
    *,
    vagrantfile: bool = True,
    folder: Path = FOLDER,
) -> dict[str, File]:
    """All files of a lab, by path relative to its folder. Raises TemplateFault when a template is missing or wrong."""
    env = _shared(folder)
    files: dict[str, File] = {}
    kubernetes = release(topology.definition.kubernetes.version)
    common = {
        "lab": topology,
        "site": site,
        "release": kubernetes,
        "d": topology.definition,
        "virtual": virtual_of(topology, site) if isinstance(site, VirtualSite) else None,
        "authorized_keys": AUTHORIZED_KEYS,
    }
    if vagrantfile:
        names = {node.name: [step.name for step in steps_of(topology, node, steps)] for node in topology.nodes}
        files["Vagrantfile"] = File(_fill(env, "Vagrantfile.j2", {**common, "steps": names}))
        if isinstance(site, ContainerSite) and site.ssh_key:
            files["authorized_keys"] = File(f"{site.ssh_key}\n")  # the Vagrantfile names it too
    for node in topology.nodes:
        variables = {**common, "node": node, "kubeadm": Kubeadm(kubernetes, topology, site, node)}
        for step in steps_of(topology, node, steps):
            files[f"nodes/{node.name}/{step.name}.sh"] = File(_fill(env, step.script, variables), SCRIPT)
            for name in step.files:
                text = _fill(env, f"{step.component}/{name}.j2", variables)
                if text:  # a template may say that this definition has no such file
                    files[f"nodes/{node.name}/{name}"] = File(text, SCRIPT if text.startswith("#!") else PLAIN)
    return files


def _fill(env: Environment, name: str, variables: Mapping[str, Any]) -> str:
    try:
        template: Template = env.get_template(name)
        return template.render(variables)
    except TemplateNotFound as error:
        where = "" if error.name == name else f", included by {name}"
        raise TemplateFault(
            f"template provision/{error.name} is missing{where}", "the project's folder is not whole"
        ) from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"provision/{name}" if name != "Vagrantfile.j2" else name
        raise TemplateFault(f"template {where}{f', line {line}' if line else ''}: {error.message}") from error
