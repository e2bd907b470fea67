"""Who uses an entry of the cache: a process that has it mounted, or a lab whose machines were made from it.

A halted lab mounts nothing, and still stands on the very files it was made from. So each lab notes beside the cache
where its folder is and what must not change below it; a folder without a site is a lab that was destroyed since.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from lab.host import files
from lab.quoting import from_mountinfo

#: Below the cache's root: a note a lab, called after its prefix.
LABS = "labs"


def remember(root: Path, prefix: str, state: Path, paths: Sequence[Path]) -> None:
    """Note, beside the cache at ``root``, that the lab whose folder is ``state`` stands on ``paths``."""
    (root / LABS).mkdir(parents=True, exist_ok=True)
    note = {"state": str(state), "paths": [str(path) for path in paths]}
    files.write(root / LABS / prefix, json.dumps(note) + "\n")


def forget(root: Path, prefix: str) -> None:
    """The lab is no more, or stands on nothing any more."""
    (root / LABS / prefix).unlink(missing_ok=True)


def user_of(path: Path, root: Path) -> str:
    """Who uses ``path``, an entry of the cache at ``root``, in words; "" when nobody does."""
    return mounted_by(path) or made_from(path, root)


def mounted_by(path: Path) -> str:
    """A process that has a mount made of ``path`` (as source or as an overlay's layer), or "" when there is none.

    Every mount namespace is looked at once, because machines have their own.
    """
    wanted = re.compile(re.escape(str(path)) + r"[/ ,:\n]")
    seen: set[str] = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            namespace = str((process / "ns/mnt").readlink())
            if namespace in seen:
                continue
            seen.add(namespace)
            if wanted.search(from_mountinfo(os.fsdecode((process / "mountinfo").read_bytes()))):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else: then its mounts cannot be ours
    return ""


def made_from(path: Path, root: Path) -> str:
    """A lab that stands on ``path``, an entry of the cache at ``root``, or "" when there is none."""
    for note in sorted((root / LABS).glob("[!.]*")):
        try:
            told = json.loads(note.read_text())
        except OSError:
            continue  # destroyed just now
        except ValueError:
            return f"a lab whose note {note} is damaged"
        stands = any(Path(part).is_relative_to(path) for part in told["paths"])
        if stands and (Path(told["state"]) / "site.json").is_file():
            return f"the lab of {told['state']}"
    return ""
