"""What a test needs of its host.

A right that this user was not given skips a test, which then says so: a user without root runs the rest. A program that
``./inv test`` installs, or that every host has on which a lab can be made, must be there: what was never judged is not
right, so its absence is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

#: Namespaces, mounts and files of other owners are root's to make; ``./inv`` itself asks for root there.
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces, mounts or others' files")

#: Where there is no apt nothing is ever built (README, Virtual machines), so there is nothing to be tested.
apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="a host without apt builds nothing")


def programs(*names: str) -> None:
    """Fail when one of these programs is missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if missing := [name for name in names if shutil.which(name, path=path) is None]:
        why = f"not installed, so nothing was judged: {', '.join(missing)} (./inv test installs them)"
        pytest.fail(why, pytrace=False)
