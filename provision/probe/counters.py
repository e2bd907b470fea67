"""What the apiservers and load balancers counted: read on a master, one JSON line.

    python3 -u - audit DIRECTORY AGENT     pods created by one user agent, by this apiserver's audit log
    python3 -u - sessions SOCKET BACKEND   sessions of each server of one backend, by haproxy's own count

Only the standard library (Python 3.9 or later): it is sent over ssh and run as it is.
"""

import json
import sys
import time
from pathlib import Path

from stats import servers

#: Seconds that haproxy is given to tell.
SECONDS = 5.0


def audited(directory: str, agent: str) -> dict[str, object]:
    """How many pods this apiserver created for ``agent``: finished requests only, each counted once."""
    seen: set[str] = set()
    files = sorted(Path(directory).glob("*.log"))
    for name in files:
        with name.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if agent in line and line.endswith("\n"):  # the last one may be half written
                    event = json.loads(line)
                    if finished_creation(event, agent):
                        seen.add(event["auditID"])
    return {"kind": "audit", "t": time.time(), "agent": agent, "files": len(files), "count": len(seen)}


def finished_creation(event: dict[str, object], agent: str) -> bool:
    """Is this the end of one successful creation of a pod by ``agent``?"""
    about = event.get("objectRef")
    status = event.get("responseStatus")
    return (
        event.get("stage") == "ResponseComplete"
        and event.get("userAgent") == agent
        and event.get("verb") == "create"
        and isinstance(about, dict)
        and about.get("resource") == "pods"
        and not about.get("subresource")
        and isinstance(status, dict)
        and status.get("code") == 201
    )


def sessions(path: str, backend: str) -> dict[str, object]:
    """Total sessions (``stot``) of each server of ``backend``, and whether it is up."""
    found = [row for row in servers(path, SECONDS) if row["pxname"] == backend]
    return {
        "kind": "sessions",
        "t": time.time(),
        "sessions": {row["svname"]: int(row["stot"]) for row in found},
        "status": {row["svname"]: row["status"] for row in found},
    }


def main(what: str, where: str, which: str) -> None:
    """Read the arguments and print the one line."""
    found = audited(where, which) if what == "audit" else sessions(where, which)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
