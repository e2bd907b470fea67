"""What a lab is called on its host: names that never meet those of another lab, or of another clone of this project."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import UsageError

#: The same that a definition allows for its own name.
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

#: Characters of the lab's own name that its prefix keeps, so that people recognise it in `ip`, `lxc-ls` and `virsh`.
NAME_LENGTH = 8

#: Characters that a name has at most: a definition's has fewer (32), a bench's lab adds some.
LONGEST = 63

#: Hexadecimal digits that tell labs of one name in different folders apart (24 bits).
HASH_LENGTH = 6


@dataclass(frozen=True)
class Identity:
    """A lab's name and the folder of the project that it was started from."""

    name: str
    folder: Path

    def __post_init__(self) -> None:
        """Refuse what would lead out of the folder or into a foreign name: it may come from the command line."""
        if len(self.name) > LONGEST:
            raise UsageError(f"no lab's name has {len(self.name)} characters", f"at most {LONGEST}, such as ha")
        if not NAME.fullmatch(self.name):
            raise UsageError(
                f"no lab is called {self.name!r}", "lower-case letters, digits and inner hyphens, such as ha"
            )

    @property
    def prefix(self) -> str:
        """At most 15 characters (Linux's limit for interface names), unique to the name and folder."""
        digest = hashlib.sha256(os.fsencode(f"{self.folder}\0{self.name}")).hexdigest()
        return f"{self.name[:NAME_LENGTH].rstrip('-')}-{digest[:HASH_LENGTH]}"

    @property
    def namespace(self) -> str:
        """The lab's network namespace."""
        return f"lab-{self.prefix}"

    @property
    def state(self) -> Path:
        """The folder of everything that the lab keeps: rendered files, logs, runs."""
        return self.folder / ".lab" / self.name

    def machine(self, node: str) -> str:
        """The container's or domain's name of one node."""
        return f"{self.prefix}-{node}"
