"""A definition is data: nothing that stands in it is ever run, whatever the model lets pass, and whatever it would.

Every text of every field is fed what the languages of the rendered files give a meaning to. What the model lets pass is
rendered and read by those who will read it; then the model is left out, and the templates alone must hold.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import needs
import pytest
from altered import Data, fields, parts, replaced
from judges import haproxy, keepalived
from ruamel.yaml import YAML
from samples import FOLDER, site

from lab.definition import Definition, DefinitionError, load
from lab.definition.load import judged
from lab.definition.source import Source
from lab.errors import LabError
from lab.plan import File, Site, render
from lab.plan.site import Box
from lab.plan.virtual import virtual_of
from lab.providers.libvirt.daemon import RemoteDaemon
from lab.providers.libvirt.provider import LibvirtProvider
from lab.topology import Topology, derive

#: Each would leave a file of this name, where it is run.
MARK = "pwned"

#: What Ruby, shells, ssh, YAML, haproxy, keepalived or Python give a meaning to.
HOSTILE = (
    *("#{%x(touch pwned)}", "#{%x(touch${IFS}pwned)}", "#{File.write('pwned','')}", "#$0", "#@x", "#", " #"),
    *('"', "'", "`touch pwned`", "$(touch pwned)", "$(touch${IFS}pwned)", "${IFS}", "$HOME", "\\", '\\"', "\\\n"),
    *(";touch pwned;", ";touch${IFS}pwned;", "|touch pwned|", "&touch pwned&", "&&", "||", ">pwned", "<pwned"),
    *('"\ntouch pwned\n', '";%x(touch pwned);"', "'\ntouch pwned\n'", "\nEOF\ntouch pwned\n"),
    *("]\n}\n%x(touch pwned)\n{", "{{ d }}", "{% x %}", "<x>", "&amp;", "ü", "日", "٣", "１", "A", "a" * 600),
    *("\n", "\r", "\0", "\t", " ", "a b", "\x1b", "\x7f", "\x85", "\u2028", "\ufeff", "\n__END__\n", "EOF"),
    *("%", "%h", "%%", "%(x)s", "*", "?", "[a]", "{a,b}", "~", "!", "!!x", "&a", "*a", "{}", ": ", "- "),
    *("-", "-oProxyCommand=touch${IFS}pwned", "-x", "--", "/..", "../..", "//", ".", ":", "@", ",", "=", "+", "_"),
    *("true", "on", "no", "null", "1e3", "0x1f", "012", "1_000", "12:30:45", "=", "<<"),
)

#: Every field that is a text, with a value that is right.
GOOD: Data = replaced(
    replaced(
        load(FOLDER / "configs" / "ha.yaml").model_dump(mode="json", exclude_none=True),
        "machine.box",
        {"name": "some/box", "version": "1.2", "url": "https://boxes.example/box.json", "checksum": "0" * 64},
    ),
    "libvirt.uri",
    "qemu+ssh://me@far:2222/system?keyfile=/k",
) | {"provider": "libvirt"}
GOOD["kubernetes"]["extra_sans"] = ["api.example"]


def texts(schema: Data, place: Any, path: str = "") -> Iterator[tuple[str, Data]]:
    """The fields of a JSON schema that are texts, by path, with what the schema says of each; [0] is any item."""
    if "$ref" in place:
        place = schema["$defs"][place["$ref"].rpartition("/")[2]]
    for each in place.get("anyOf", ()):
        yield from texts(schema, each, path)
    for name, inner in place.get("properties", {}).items():
        yield from texts(schema, inner, f"{path}.{name}" if path else name)
    if place.get("type") == "array":
        yield from texts(schema, place["items"], f"{path}[0]")
    if place.get("type") == "string":
        yield path, place


SCHEMA = Definition.model_json_schema()
TEXTS = dict(texts(SCHEMA, SCHEMA))

#: Of these, those that are kept as the text that was written: no address, no network, no choice.
FREE = sorted(path for path, said in TEXTS.items() if "format" not in said and "enum" not in said)


def worded(good: str) -> Iterator[str]:
    """What is fed to a field: a good value, each hostile text, and that in a good value's beginning, middle and end."""
    yield good
    for text in HOSTILE:
        yield text
        yield text + good
        yield good + text
        yield good[: len(good) // 2] + text + good[len(good) // 2 :]
        if ":" in good:  # in the name of a host
            yield good.replace("far", f"far{text}").replace("//me@far", f"//{text}me@far")
            yield good.replace("me@far", text).replace("boxes.example", text)


def good(path: str) -> str:
    """The good value of a field."""
    found = dict(fields(GOOD)).get(path, "10.21.0.50")  # only addresses of nodes are not written
    assert isinstance(found, str), path
    return found


def let_pass(path: str) -> dict[str, Definition]:
    """The values of a field that the model lets pass, and the definition with each."""
    found = {}
    for value in worded(good(path)):
        try:
            found[value] = judged(Source(replaced(GOOD, path, value), {}))
        except DefinitionError:
            continue
    return found


def sites(definition: Definition) -> Iterator[Site]:
    """Both kinds of labs that a definition may become."""
    box = definition.machine.box
    far = replace(site("libvirt", definition.name), daemon="remote", uri=definition.libvirt.uri)
    yield replace(far, box=Box(box.name, box.version, box.url))
    yield site("lxc", definition.name)


class Read:
    """What those read who read the files of labs: each program starts once for the files of all labs that it can."""

    def __init__(self) -> None:
        self.vagrantfiles: list[tuple[str, Definition, Site]] = []
        self.scripts: dict[str, None] = {}
        self.haproxies: dict[str, None] = {}
        self.keepaliveds: dict[tuple[tuple[str, str], ...], None] = {}

    def take(self, definition: Definition, lab: Site, files: dict[str, File]) -> None:
        """Have a lab's files read by kubeadm, and by all others when ``judge`` is called."""
        self.vagrantfiles.append((files["Vagrantfile"].content, definition, lab))
        for path, file in files.items():
            if path.endswith(".sh"):
                self.scripts[file.content] = None
            if path.endswith("/haproxy.cfg"):
                self.haproxies[file.content.partition("\n")[2]] = None  # the first line is a comment: whose it is
            if path.endswith("/keepalived.conf"):
                beside = [Path(path).with_name(name) for name in ("keepalived.conf", "haproxy-alive", "haproxy-check")]
                its = [(name.name, files[str(name)].content) for name in beside if str(name) in files]
                self.keepaliveds[tuple(its)] = None
        for name, text in joins(files):
            assert text["nodeRegistration"]["name"] == name
        (init,) = [file.content for path, file in files.items() if path.endswith("kubeadm-init.yaml")]
        told(init, definition)

    def judge(self, folder: Path, *, services: bool = True) -> None:
        """Have all files read; nothing may be left behind where that is done."""
        shells("\n".join(self.scripts))
        if services:
            assert [said for said in map(haproxy, self.haproxies) if said] == []
            with TemporaryDirectory() as place:
                numbered = {str(number): dict(files) for number, files in enumerate(self.keepaliveds)}
                assert keepalived(numbered, Path(place)) == ""
        self.vagrant(folder)

    def vagrant(self, folder: Path) -> None:
        """Have Ruby read the Vagrantfiles: it must find the definition's own texts, and run nothing else."""
        for number, (text, _, _) in enumerate(self.vagrantfiles):
            (folder / str(number)).write_text(text)
        before = sorted(folder.iterdir())
        needs.programs("ruby")
        names = [str(number) for number in range(len(self.vagrantfiles))]
        done = subprocess.run(
            ["ruby", Path(__file__).with_name("vagrantfile.rb"), *names],
            cwd=folder, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert sorted(folder.iterdir()) == before, "the definition was run"
        assert done.returncode == 0, done.stderr
        for line, (_, definition, lab) in zip(done.stdout.split("\n")[:-1], self.vagrantfiles, strict=True):
            given = json.loads(line)
            assert "wrong" not in given, given["wrong"]
            box = definition.machine.box
            assert lab.box is not None
            assert given["config.vm.box"] == lab.box.name
            assert given.get("config.vm.box_url", "") == lab.box.url
            if lab.provider == "libvirt":
                assert given.get("config.vm.box_version", "") == box.version
                assert given.get("config.vm.box_download_checksum", "") == box.checksum
                assert given["config.vm.define.vm.provider.uri"] == definition.libvirt.uri
                assert definition.name in given["config.vm.define.vm.provider.description"]
            nodes = [words[0] for words in given["config.vm.define"]]
            assert sorted(nodes) == sorted(node.name for node in definition.nodes)


def shells(scripts: str) -> None:
    """Scripts, one behind the other, are bash's, and what they put into files for sh is sh's."""
    inner = re.findall(r"<<'EOF'\n(#!/bin/sh\n.*?)^EOF$", scripts, re.MULTILINE | re.DOTALL)
    for program, text in (("bash", scripts), ("sh", "\n".join(inner))):
        done = subprocess.run([program, "-n"], input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stderr == "", done.stderr


@cache
def as_kubeadm(text: str) -> list[Any]:
    """Documents as kubeadm's reader, which knows YAML 1.1, takes them: there "on" without quotes is true."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return list(yaml.load_all(text))


def told(init: str, definition: Definition) -> None:
    """kubeadm reads the definition's own texts, as texts."""
    registration, cluster = as_kubeadm(init)[:2]
    masters = [node.name for node in definition.nodes if node.role == "master"]
    assert registration["nodeRegistration"]["name"] == masters[0]
    assert cluster["clusterName"] == definition.name
    assert cluster["kubernetesVersion"] == definition.kubernetes.version
    names = cluster["apiServer"]["certSANs"]
    assert {*masters, *definition.kubernetes.extra_sans, f"vip.{definition.name}.lab"} <= set(names)
    assert all(isinstance(name, str) for name in names)


def joins(files: dict[str, File]) -> Iterator[tuple[str, Any]]:
    """Each node's name, and what its join would hand kubeadm: the shell itself fills the credential in."""
    for path, file in files.items():
        if path.endswith("/join.sh"):
            (here,) = re.findall(r"^  put /run/halab/kubeadm\.yaml 0600 (<<EOF\n.*?^EOF\n)", file.content, re.M | re.S)
            yield path.removeprefix("nodes/").removesuffix("/join.sh"), filled_in(here)


@cache
def filled_in(here: str) -> Any:
    """A here-document as bash fills it in, in a folder of its own."""
    credential = {"JOIN_TOKEN": "t", "JOIN_CA_HASH": "h", "JOIN_CERTIFICATE_KEY": "k", "PATH": "/usr/bin:/bin"}
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            ["bash", "-uc", f"cat {here}"], cwd=folder, env=credential, capture_output=True, text=True, timeout=30
        )
        assert list(Path(folder).iterdir()) == [], "the definition was run"
    assert done.returncode == 0, done.stderr
    (document,) = as_kubeadm(done.stdout)
    return document


@pytest.mark.parametrize("path", sorted(TEXTS))
def test_what_is_let_pass_means_to_its_readers_what_was_written(path: str, tmp_path: Path) -> None:
    read = Read()
    for definition in let_pass(path).values():
        topology = derive(definition, driver="")
        for lab in sites(definition):
            read.take(definition, lab, render(topology, lab))
    read.judge(tmp_path)


def test_a_good_definition_is_read_to_its_end(tmp_path: Path) -> None:
    """All that is looked for above is there to be found; and Ruby would run what is there to be run."""
    definition = judged(Source(GOOD, {}))
    read = Read()
    for lab in sites(definition):
        read.take(definition, lab, render(derive(definition, ""), lab))
    read.judge(tmp_path)
    text, _, lab = read.vagrantfiles[0]
    read.vagrantfiles = [(text.replace('"some/box"', '"some/box#{%x(touch pwned)}"'), definition, lab)]
    with pytest.raises(AssertionError, match="the definition was run"):
        read.vagrant(tmp_path)
    assert (tmp_path / MARK).exists()


def unchecked(section: Any, path: Sequence[str | int], value: str) -> Any:
    """A definition with a text that no model has looked at."""
    first, *rest = path
    if isinstance(first, int):
        items = list(section)
        items[first] = unchecked(items[first], rest, value) if rest else value
        return tuple(items)
    inner = unchecked(getattr(section, first), rest, value) if rest else value
    return section.model_copy(update={first: inner})


@pytest.mark.parametrize("path", FREE)
def test_templates_alone_let_nothing_of_a_definition_become_code(path: str, tmp_path: Path) -> None:
    """Refused, or written as what it is: the one or the other for every single text."""
    definition = judged(Source(GOOD, {}))
    read = Read()
    for text in HOSTILE:
        wrong = unchecked(definition, parts(path), text)
        try:
            for lab in sites(wrong):
                read.take(wrong, lab, render(derive(wrong, ""), lab))
        except LabError:
            continue
    read.judge(tmp_path, services=False)


def jumping(topology: Topology, uri: str, folder: Path) -> list[str]:
    """The words that ssh itself gives the ssh to the libvirt host at ``uri``; [] where it comes to none."""
    lab = replace(site("libvirt"), daemon="remote", uri=uri)
    virtual = virtual_of(topology, lab)
    nodes = tuple(node.name for node in topology.nodes)
    try:
        text = LibvirtProvider(virtual, RemoteDaemon(uri), topology.subnet, nodes).ssh_config()
    except ValueError:
        return []
    (folder / "config").write_text(text)
    words = folder / "words"
    words.unlink(missing_ok=True)
    fake = folder / "bin" / "ssh"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {shlex.quote(str(words))}\n')
    fake.chmod(0o755)
    needs.programs("ssh")
    place = folder / "place"
    place.mkdir(exist_ok=True)
    subprocess.run(
        ["/usr/bin/ssh", "-F", str(folder / "config"), nodes[0], "true"],
        cwd=place, env={"PATH": f"{fake.parent}:/usr/bin:/bin", "SHELL": "/bin/sh"}, capture_output=True, timeout=30,
    )  # fmt: skip
    assert list(place.iterdir()) == [], f"{uri} was run"
    return words.read_text().split("\0")[:-1] if words.exists() else []


def test_ssh_goes_through_the_libvirt_host_that_was_named_and_runs_nothing_else(tmp_path: Path) -> None:
    topology = derive(judged(Source(GOOD, {})), "")
    passed = {*let_pass("libvirt.uri"), "qemu+ssh://far/system", "qemu+ssh://me@far:22/system", GOOD["libvirt"]["uri"]}
    for uri in passed:
        if "+ssh" in uri:
            asked = jumping(topology, uri, tmp_path)
            assert asked[:2] == ["-W", f"{virtual_address(topology)}:22"], f"{uri}: {asked}"
            assert asked[2:] == [*RemoteDaemon(uri).ssh_jump()]
    for text in HOSTILE:
        for uri in (f"qemu+ssh://far{text}/system", f"qemu+ssh://{text}@far/system", f"qemu+ssh://{text}/system"):
            if asked := jumping(topology, uri, tmp_path):  # else the one ssh or the other was refused
                assert asked[2:] == [*RemoteDaemon(uri).ssh_jump()], uri


def virtual_address(topology: Topology) -> str:
    """Where the first machine's ssh is, on the libvirt host."""
    virtual = virtual_of(topology, replace(site("libvirt"), daemon="remote"))
    return str(virtual.management_address(topology.nodes[0].name))


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+ssh://far/system?command=/home/somebody/program",
        "qemu+ssh://far/system?keyfile=/k&command=/x",
        "qemu+ssh://far/system?keyfile=/k;command=/x",
        "qemu+ssh://far/system?netcat=/x",
        "qemu+ssh://far/system?%63ommand=/x",
        "qemu+ssh://far:99999/system",
        "qemu+ssh://far:0/system",
        "qemu+ssh://-oProxyCommand=x/system",
        "qemu+ssh://-lroot@far/system",
    ],
)
def test_a_libvirt_uri_that_names_a_program_or_an_option_is_refused(uri: str) -> None:
    with pytest.raises(DefinitionError, match=r"libvirt\.uri"):
        judged(Source(replaced(GOOD, "libvirt.uri", uri), {}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("libvirt.uri", "qemu:///system"),
        ("libvirt.uri", "qemu+ssh://some_body@far-away.example.org:2222/system?keyfile=/home/me/.ssh/id_a&no_verify=1"),
        ("libvirt.uri", "qemu+ssh://[fd00::1]/system"),
        ("libvirt.uri", "qemu+ssh://my_alias/system?socket=/run/libvirt/libvirt-sock"),
        ("machine.box.name", "debian/bookworm64"),
        ("machine.box.name", "my_box-1.0"),
        ("machine.box.version", "12.20250126.1"),
        ("machine.box.version", "1.0.0-rc.1+build_2"),
        ("machine.box.url", "https://boxes.example:8443/a/b%20c.json?x=1&y=~2,3+4@5"),
        ("machine.box.url", "file:///mein%20L%C3%A4b/x.box"),
        ("machine.box.url", "/srv/boxes/x.box"),
    ],
)
def test_what_people_write_is_let_pass(path: str, value: str) -> None:
    assert judged(Source(replaced(GOOD, path, value), {}))
