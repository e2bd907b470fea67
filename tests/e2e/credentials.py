"""Looking for a lab's secrets where they must not be: process lists, files, archives, machines."""

from __future__ import annotations

import base64
import gzip
import io
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from running import Inv

#: What a bootstrap token looks like (kubeadm-token(8)), and words that a certificate key stands behind.
TOKEN = re.compile(rb"(?<![a-z0-9.])[a-z0-9]{6}\.[a-z0-9]{16}(?![a-z0-9.])")
GIVEN_AWAY = (
    re.compile(rb"--token[ =\0]\s*[a-z0-9]{6}\.[a-z0-9]{16}"),
    re.compile(rb"(?i)certificate-?_?key\W{1,4}[0-9a-f]{64}"),
    re.compile(rb"-----BEGIN (RSA |EC )?PRIVATE KEY-----"),
)

#: Keys with which anybody could make himself a member or an administrator (kubeadm's own names).
KEYS = ("ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key")

#: Run as nobody: prints the files, changed since a moment, that anybody can read and that hold one of the needles.
EVERYBODYS = r"""
import os, stat, sys
since, needles = float(sys.argv[1]), [line for line in sys.stdin.buffer.read().split(b"\n") if line]
seen = 0
for top in sys.argv[2:]:
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/opt/payload")]
        for name in files:
            path = os.path.join(folder, name)
            try:
                about = os.lstat(path)
                if not stat.S_ISREG(about.st_mode) or about.st_ctime < since or about.st_size > 2**27:
                    continue
                with open(path, "rb") as file:
                    content = file.read()
            except OSError:
                continue
            seen += 1
            if any(needle in content for needle in needles):
                print("found", path)
print("seen", seen)
"""


@dataclass(repr=False)
class Watcher:
    """Reads every process's words, as anybody on the host could, again and again while something else runs.

    ``handed`` are the secrets that were seen in environments (which only root can read): what must be nowhere else.
    """

    words: set[bytes] = field(default_factory=set)
    handed: set[bytes] = field(default_factory=set)
    looks: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watcher:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.looks += 1
            for process in Path("/proc").iterdir():
                if not process.name.isdigit():
                    continue
                try:
                    self.words.add((process / "cmdline").read_bytes())
                    environment = (process / "environ").read_bytes()
                except OSError:
                    continue  # it has ended
                if b"JOIN_" in environment:
                    found = re.findall(rb"JOIN_(?:TOKEN|CERTIFICATE_KEY)=([^\0]+)", environment)
                    self.handed.update(found)


@dataclass(frozen=True, repr=False)
class Secrets:
    """A lab's secrets by what they are; each in every form in which it could lie about."""

    forms: Mapping[str, frozenset[bytes]]

    def needles(self) -> bytes:
        """One a line."""
        return b"\n".join(sorted(form for forms in self.forms.values() for form in forms)) + b"\n"

    def within(self, content: bytes) -> list[str]:
        """What of it stands in a text."""
        return [name for name, forms in self.forms.items() if any(form in content for form in forms)]


def secrets_of(inv: Inv, handed: Iterable[bytes]) -> Secrets:
    """Every secret of a running lab, asked of the lab itself, and those that were seen being handed to a join."""
    masters = [machine["name"] for machine in inv.status()["machines"] if machine["role"] == "master"]
    listed = inv("kubectl", "get", "secrets", "--namespace", "kube-system", "--output", "json").json()
    tokens = [item["data"] for item in listed["items"] if item["type"] == "bootstrap.kubernetes.io/token"]
    config = (inv.state / "kubeconfig").read_text()
    key = re.search(r"client-key-data:\s*(\S+)", config)
    assert key is not None, "the administrator's kubeconfig has no client key"
    forms = {"administrator's key": frozenset({key[1].encode(), _middle(base64.b64decode(key[1]))})}
    for name in KEYS:
        content = inv.on(masters[0], f"cat /etc/kubernetes/pki/{name}").encode()
        forms[name] = frozenset({_middle(content)})
    for number, token in enumerate(tokens):
        forms[f"token {number}"] = _token_forms(base64.b64decode(token["token-secret"]))
    for number, secret in enumerate(sorted(handed)):
        forms[f"handed {number}"] = _token_forms(secret.partition(b".")[2]) if b"." in secret else frozenset({secret})
    return Secrets(forms)


def _token_forms(secret: bytes) -> frozenset[bytes]:
    """A token's secret half as it is, and as it stands in a Secret."""
    return frozenset({secret, base64.b64encode(secret).rstrip(b"=")})


def _middle(key: bytes) -> bytes:
    """A line out of the middle of a key."""
    lines = [line for line in key.splitlines() if not line.startswith(b"-")]
    return lines[len(lines) // 2]


def texts(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its name, archives by what they hold."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        if file.name.endswith(".tar.gz"):
            with tarfile.open(file) as archive:
                for member in archive.getmembers():
                    if (content := archive.extractfile(member)) is not None:
                        found[f"{file}:{member.name}"] = content.read()
        elif file.suffix == ".gz":
            found[str(file)] = gzip.GzipFile(fileobj=io.BytesIO(file.read_bytes())).read()
        else:
            found[str(file)] = file.read_bytes()
    return found


def given_away(content: bytes) -> list[str]:
    """What looks like a secret of this kind of lab, whether its value is known or not."""
    return [pattern.pattern.decode() for pattern in GIVEN_AWAY if pattern.search(content)]


def readable_by_all(since: float, secrets: Secrets, *places: str) -> tuple[int, list[str]]:
    """How many files, changed since, anybody can read in these places, and those with a secret in them."""
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", EVERYBODYS]
    done = subprocess.run([*argv, str(since), *places], input=secrets.needles(), capture_output=True, check=True)
    return _counted(done.stdout.decode())


def readable_on(inv: Inv, node: str, secrets: Secrets) -> tuple[int, list[str]]:
    """The same inside a machine, whatever the files' age; its journal, which only root can read, is looked at too."""
    program = base64.b64encode(EVERYBODYS.encode()).decode()
    script = f"""
needles=$(mktemp) && chmod 600 "$needles" && cat > "$needles" && trap 'rm "$needles"' EXIT
program=$(echo {program} | base64 -d)
setpriv --reuid=65534 --regid=65534 --clear-groups python3 -c "$program" 0 \
  /etc /home /mnt /opt /root /run /srv /tmp /var < "$needles"
if journalctl --no-pager --output cat | grep -qFf "$needles"; then echo "found journal"; fi
"""
    return _counted(inv.on(node, script, stdin=secrets.needles().decode()))


def _counted(said: str) -> tuple[int, list[str]]:
    lines = said.splitlines()
    seen = next(int(line.removeprefix("seen ")) for line in lines if line.startswith("seen "))
    return seen, [line.removeprefix("found ") for line in lines if line.startswith("found ")]
