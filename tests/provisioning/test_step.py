"""What runs on a machine around a step, by the real bash in a /run and a /var/lib of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs
import pytest

from lab.machine import whole
from lab.provisioning.step import BEGIN, RECORD

OWN = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib\n"

#: The step of a dead run is still going when the next one begins, and the next one waits until somebody kills it.
LEFT_GOING = r"""
mkfifo /run/begun /run/never
bash -s < "$1/first" & first=$!
read -r _ < /run/begun
bash -s < "$1/second" &
second=$!
waits=$(stat --printf '%Hd %Ld %i' /run/halab-step.lock | xargs printf -- '-> FLOCK .* %02x:%02x:%d ')
for _ in $(seq 500); do ! grep -q -e "$waits" /proc/locks || break; sleep 0.02; done
grep -q -e "$waits" /proc/locks || { echo 'the second does not wait'; exit; }
echo 'the second waits'
kill -KILL "$first"
wait "$second"
"""


def in_own_folders(script: str, *args: str) -> list[str]:
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", OWN + script, "bash", *args]
    return subprocess.run(enter, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


@needs.root
def test_a_step_that_is_left_going_comes_to_its_end_before_the_next_begins(tmp_path: Path) -> None:
    begin = BEGIN.format(step="haproxy")
    (tmp_path / "first").write_text(
        whole(f"{begin}\necho > /run/begun\nread -r _ < /run/never\necho 'the first ends'\n")
    )
    (tmp_path / "second").write_text(whole(f"{begin}\necho 'the second begins'\n"))
    assert in_own_folders(LEFT_GOING, str(tmp_path)) == ["the second waits", "the second begins"]


@needs.root
@pytest.mark.parametrize(("end", "kept"), [("true", ["haproxy new"]), ("kill -KILL $$", [])])
def test_a_step_that_is_killed_leaves_no_record_of_an_earlier_one(end: str, kept: list[str], tmp_path: Path) -> None:
    (tmp_path / "record").write_text(RECORD)
    (tmp_path / "step").write_text(whole(f"{BEGIN.format(step='haproxy')}\n{end}\n"))
    script = """
    bash -s -- haproxy old < "$1/record"
    bash -s < "$1/step" && bash -s -- haproxy new < "$1/record"
    cd /var/lib/halab/steps && for step in *; do [ ! -e "$step" ] || echo "$step $(cat "$step")"; done
    """
    assert in_own_folders(script, str(tmp_path)) == kept
