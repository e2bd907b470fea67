"""haproxy's statistics (management guide, "show stat"): a part of the programs beside it."""

import csv
import io
import socket


def servers(path: str, seconds: float) -> list[dict[str, str]]:
    """A row a server of every backend, by column, as haproxy tells at its socket within ``seconds``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        connection.sendall(b"show stat\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
    rows = csv.DictReader(io.StringIO(answer.lstrip("# ")))
    return [row for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")]
