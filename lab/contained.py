"""Commands that die with the program that started them: a long build, children and all, or a machine's probe.

Without this a program killed by SIGKILL leaves compilers and package installs behind, which go on writing into a folder
that the next build removes, and connections over which nobody hears a probe any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence


def contained(argv: Sequence[str], privileged: bool | None = None) -> list[str]:
    """``argv``, made to end when the calling thread ends, whatever ends it.

    Root also gets a process and mount namespace for it (default: is this root?): all descendants end, and no mount of
    theirs reaches the host.
    """
    if privileged is None:
        privileged = os.geteuid() == 0
    prefix = ["setpriv", "--pdeathsig", "KILL"]
    if privileged:
        prefix += ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    return [*prefix, "--", *argv]
