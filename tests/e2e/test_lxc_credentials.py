"""A real lab's secrets, and its log archive: what is needed to diagnose is there, what nobody may see is not."""

from __future__ import annotations

import base64
import tarfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from credentials import GIVEN_AWAY, Watcher, given_away, readable_by_all, readable_on, secrets_of, texts
from judging import NODES, TOPOLOGY, Shared, lets_in_who_has_the_labs_own_key_alone
from running import FOLDER

from lab.cache import Cache
from lab.model.functions import Function

pytestmark = pytest.mark.live

#: Where a lab's programs could leave something on the host (the clone's own folder besides).
PLACES = ("/var/lib/lxc", "/run", "/tmp", "/var/tmp", "/dev/shm", "/var/log", str(Cache.default().root))


#: What mint.sh gives a join, and a second in which the token and its Secret are made.
LONGEST_TOKEN = timedelta(minutes=15, seconds=1)


@pytest.fixture(scope="module")
def archive(lab: Shared) -> Path:
    """What ./inv logs wrote."""
    known = set(lab.inv.runs("logs"))
    done = lab.inv("logs", seconds=300)
    (folder,) = set(lab.inv.runs("logs")) - known
    (file,) = folder.iterdir()
    assert str(file) in done.out
    return file


class TestSecrets:
    """Join credentials and the administrator's key are where they must be, and nowhere else."""

    def test_the_archive_holds_what_is_needed_to_diagnose(self, archive: Path) -> None:
        with tarfile.open(archive) as opened:
            files = {member.name.partition("/")[2]: member.size for member in opened.getmembers()}
        wanted = {"lab.json", "status.json", "definition.yaml", "Vagrantfile"}
        for node in TOPOLOGY.nodes:
            wanted |= {f"{node.name}/{name}" for name in ("journal.log", "units.txt", "network.txt", "containers.txt")}
            wanted |= {f"{node.name}/pods.log", f"{node.name}/steps.txt"}
            if node.has(Function.CONTROL_PLANE):
                wanted |= {f"{node.name}/{name}" for name in ("haproxy.txt", "keepalived.conf", "manifests.txt")}
        assert {name for name in wanted if not files.get(name)} == set()
        masters = [node.name for node in TOPOLOGY.control_planes]
        errors = [name for name in files if name.endswith(".error") and name.split("/")[0] in masters]
        assert errors == [], "a master can answer every question"

    @pytest.mark.parametrize("node", NODES)
    def test_nobody_gets_in_with_the_key_that_all_the_world_has(self, lab: Shared, node: str) -> None:
        lets_in_who_has_the_labs_own_key_alone(lab.inv, node)

    def test_only_its_owner_can_read_what_has_keys(self, lab: Shared, archive: Path) -> None:
        for file in (lab.inv.state / "kubeconfig", lab.inv.state / "ssh_key", archive):
            assert file.stat().st_mode & 0o777 == 0o600, file

    def test_no_secret_is_where_it_must_not_be(self, lab: Shared, archive: Path) -> None:
        lab.healthy()
        with Watcher() as watcher:
            verified = lab.inv("verify", "--case", "api-spread", seconds=600, status=None)
            shown = lab.inv("status", "--json", status=None)
        assert watcher.looks > 10
        secrets = secrets_of(lab.inv, lab.watcher.handed)
        kinds = list(secrets.forms)
        assert sum(kind.startswith("token") for kind in kinds) >= 3, "the joins' tokens live for minutes"
        assert sum(len(form) == 64 for forms in secrets.forms.values() for form in forms) >= 2, "each master got a key"
        assert lab.watcher.looks > 20
        found = [
            f"process list: {words.split(bytes(1))[0].decode()}: {secrets.within(words)}"
            for words in lab.watcher.words | watcher.words
            if secrets.within(words) or given_away(words)
        ]
        for name, content in texts(lab.inv.state).items():
            kept = [str(lab.inv.state / file) for file in ("kubeconfig", "ssh_key")]
            if name in kept or "/insecure_private_key" in name:
                continue  # these are meant to be there; the other is Vagrant's, and known to the whole world
            found += [f"{name}: {what}" for what in [*secrets.within(content), *given_away(content)]]
        for done in (lab.up, verified, shown):
            said = f"{done.out}{done.err}".encode()
            found += [f"output of {done.command}: {what}" for what in [*secrets.within(said), *given_away(said)]]
        seen, open_files = readable_by_all(lab.began - 1, secrets, *PLACES, str(FOLDER))
        assert seen > 20, "somebody who is nobody here should see some files"
        found += [f"{name}, which anybody can read" for name in open_files]
        for node in NODES:
            seen, open_files = readable_on(lab.inv, node, secrets)
            assert seen > 100
            found += [f"{node}: {name}" for name in open_files]
        assert found == []

    def test_no_token_lets_anybody_join_for_longer_than_a_join_takes(self, lab: Shared) -> None:
        """init makes one by itself, of a day; each join has one of its own (mint.sh)."""
        listed = lab.inv("kubectl", "get", "secrets", "--namespace", "kube-system", "--output", "json").json()
        lives = {}
        for item in listed["items"]:
            if item["type"] != "bootstrap.kubernetes.io/token":
                continue
            fields = {name: base64.b64decode(value).decode() for name, value in item.get("data", {}).items()}
            if fields.get("usage-bootstrap-authentication") == "true":
                made = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
                assert "expiration" in fields, f"{item['metadata']['name']} never ends"
                lives[item["metadata"]["name"]] = datetime.fromisoformat(fields["expiration"]) - made
        assert lives, "each machine that joined had one"
        assert {name: life for name, life in lives.items() if life > LONGEST_TOKEN} == {}

    def test_the_search_would_find_them(self, lab: Shared, tmp_path: Path) -> None:
        secrets = secrets_of(lab.inv, lab.watcher.handed)
        form = next(iter(secrets.forms["token 0"]))
        lab.inv.on("worker1", "cat > /tmp/given-away && chmod 644 /tmp/given-away", stdin=form.decode())
        try:
            assert readable_on(lab.inv, "worker1", secrets)[1] == ["/tmp/given-away"]
        finally:
            lab.inv.on("worker1", "rm /tmp/given-away")
        with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
            (tmp_path / "x").write_bytes(b"--- " + form)
            archive.add(tmp_path / "x", "in/x")
        assert [name for name, content in texts(tmp_path).items() if secrets.within(content)] == [
            str(tmp_path / "x"),
            f"{tmp_path / 'x.tar.gz'}:in/x",
        ]
        line = b"kubeadm\0join\0--token\0abcdef.0123456789abcdef\0--certificate-key\0" + b"a" * 64
        assert len(given_away(line)) == len(GIVEN_AWAY) - 1
