"""Do this host's configured mirrors answer?

Asked by apt's own downloader (apt-helper), so that the host's proxies and credentials count.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from lab.command import CommandTimeout, run
from lab.debian.sources import Source
from lab.parallel import workers

#: apt's own downloader, beside its methods (Debian's package apt).
HELPER = "/usr/lib/apt/apt-helper"

#: What a mirror's address begins with that can be asked as it stands.
WEB = ("http://", "https://")

#: Seconds for a mirror to begin to send a file. (All of it, 150 kB, is no matter of seconds on a thin line.)
PATIENCE = 5

#: Seconds for apt to end by itself after that, and to say why.
END_SECONDS = 1.0


def releases(sources: Iterable[Source]) -> list[str]:
    """One release file's address a mirror; sources that are no web address are left out. Pure."""
    found: dict[str, str] = {}
    for source in sources:
        for base in source.addresses:
            if base.startswith(WEB):
                found.setdefault(base, f"{base}/dists/{source.fields['suites'].split()[0].strip('/')}/InRelease")
    return list(found.values())


def elsewhere(sources: Iterable[Source]) -> list[str]:
    """What releases leaves out: addresses that are none of the web, such as apt's own lists of mirrors. Pure."""
    return list(dict.fromkeys(base for source in sources for base in source.addresses if not base.startswith(WEB)))


def silent(addresses: list[str], seconds: int = PATIENCE) -> dict[str, str]:
    """The addresses that gave nothing within ``seconds``, and apt's last words about each."""
    if not addresses:
        return {}
    with tempfile.TemporaryDirectory() as folder, workers(len(addresses)) as pool:
        targets = [Path(folder) / str(number) for number in range(len(addresses))]
        said = pool.map(_ask, addresses, targets, [seconds] * len(addresses))
        return {address: words for address, words in zip(addresses, said, strict=True) if words}


def _ask(address: str, target: Path, seconds: int) -> str:
    settings = {
        "Acquire::Retries": "0",
        "Acquire::http::Timeout": str(seconds),
        "Acquire::https::Timeout": str(seconds),
        "APT::Sandbox::User": "root",  # apt's own user may not enter the folder
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    command = [HELPER, *options, "download-file", address, str(target)]
    try:
        # apt counts from the connection on: finding out the address of a name may take it minutes before.
        done = run(command, timeout=seconds + END_SECONDS, label="apt-helper")
    except CommandTimeout:
        if target.exists() and target.stat().st_size:
            return ""  # it sends, slowly
        return f"no answer within {seconds} s (is the name server there?)"
    if done.ok:
        return ""
    # "E: Failed to fetch URL  WHY" comes before a last line that says no more than that it failed.
    why = [line.partition(address)[2].strip() for line in done.stderr.splitlines() if address in line]
    return next(filter(None, why), done.tail(1) or f"status {done.status}")
