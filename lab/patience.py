"""How many times longer than on an ordinary host everything may take before it is given up.

The program's deadlines suit a host with two ordinary cores. One that is slower (an emulated one, a small board, a busy
build machine) says so once, in the environment; what is measured and promised stays in seconds all the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from lab.errors import UsageError

VARIABLE = "HALAB_PATIENCE"

#: Beyond that nobody waits: the longest deadline would be three days.
MOST = 100


def patience(environ: Mapping[str, str] = os.environ) -> float:
    """The factor, from 1 (the default) to MOST. Raises UsageError for everything else."""
    told = environ.get(VARIABLE, "") or "1"
    try:
        factor = float(told)
    except ValueError:
        factor = 0
    if not 1 <= factor <= MOST:
        raise UsageError(
            f"{VARIABLE}={told} is no number from 1 to {MOST}",
            "it says how many times longer than an ordinary one this host may take",
        )
    return factor
