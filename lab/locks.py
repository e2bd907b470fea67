"""``python -m lab.locks``: writes behind each package of the project's lists the hashes of all files of that version.

Run after a version in a list was changed by hand; ``inv`` installs nothing else than these files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pip._internal.commands import create_command

from lab import console
from lab.errors import LabError
from lab.project import FOLDER

PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s\\;]+)")
HASH = re.compile(r"\s+--hash=")

#: A file in an index that answers as HTML only (packaging.python.org, "Simple repository API").
ANCHOR = re.compile(r"""href=["'][^"']*?([^"'/#]+)#sha256=([0-9a-f]{64})["']""")

#: File name to SHA-256 (64 hexadecimal digits), of every version of a package.
Files = Mapping[str, str]


def lists(folder: Path) -> list[Path]:
    """The lists of Python packages that ``inv`` installs."""
    return sorted(folder.glob("requirements*.txt"))


def locked(text: str, published: Callable[[str], Files]) -> str:
    """A list with new hashes; comments and order stay. Raises LabError for a version of which there is no file."""
    lines = []
    for line in text.splitlines():
        if HASH.match(line):
            continue
        if pin := PIN.match(line):
            name, version = pin["name"], pin["version"]
            known = sorted({digest for file, digest in published(name).items() if version_of(file) == version})
            if not known:
                raise LabError(f"this machine's index has no file of {name} {version}", "is the version right?")
            line = " \\\n".join([pin[0], *(f"    --hash=sha256:{digest}" for digest in known)])
        lines.append(line)
    return "\n".join(lines) + "\n"


def version_of(file: str) -> str:
    """The version in the name of a wheel or a source archive, "" for other files (packaging.python.org)."""
    if file.endswith(".whl"):
        return file.split("-")[1]
    stem = re.sub(r"(\.tar\.gz|\.zip)$", "", file)
    return stem.rpartition("-")[2] if stem != file else ""


def files_of(kind: str, text: str) -> Files:
    """What an index answers about one package, by the answer's content type."""
    if "json" not in kind:
        return dict(ANCHOR.findall(text))
    found = {file["filename"]: file["hashes"] for file in json.loads(text)["files"]}
    return {name: hashes["sha256"] for name, hashes in found.items() if "sha256" in hashes}


def published(name: str) -> Files:
    """All files of a package in the index that this machine's pip is configured to use. Raises LabError.

    pip has no command that tells them, so its own session asks: its proxies, certificates and credentials count.
    """
    command = create_command("download")
    options, _ = command.parse_args([name])
    place = f"{options.index_url.rstrip('/')}/{re.sub('[-_.]+', '-', name).lower()}/"
    accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
    with command.main_context():
        session = command.get_default_session(options)  # type: ignore[attr-defined]
        try:
            answer = session.get(place, headers={"Accept": accept})
            answer.raise_for_status()
        except OSError as error:  # all errors of pip's own library are of this kind
            raise LabError(f"this machine's index does not answer for {name}: {error}") from error
    return files_of(answer.headers.get("Content-Type", ""), answer.text)


def main() -> None:
    """Renew every list."""
    for file in lists(FOLDER):
        text = locked(file.read_text(), published)
        file.write_text(text)
        console.say(f"{file.name}: {len(PIN.findall(text))} packages, {text.count('--hash=')} files")


if __name__ == "__main__":
    main()
