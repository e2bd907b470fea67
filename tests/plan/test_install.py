"""The install scripts on a machine with an /etc of its own: what a stock box lacks is installed, and nothing twice.

dpkg's records are real ones in a folder of the test; apt and systemd only remember what they were told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import needs
import pytest
from judges import in_namespace
from samples import FOLDER, site, topology

from lab.box.components import Component, components
from lab.plan import render

PROVISION = FOLDER / "provision"
COMPONENTS = {component.name: component for component in components(PROVISION)}
INSTALLED_BY_SCRIPT = sorted(name for name, component in COMPONENTS.items() if component.install)

DPKG_QUERY = """#!/bin/sh
echo "dpkg-query" >> "$SCRATCH/log"
exec /usr/bin/dpkg-query "$@"
"""

DPKG = """#!/bin/sh
echo "dpkg $*" >> "$SCRATCH/log"
"""

APT_GET = """#!/bin/bash
echo "apt-get $*" >> "$SCRATCH/log"
[ -z "$(cat)" ] || echo "apt-get was given something to read" >> "$SCRATCH/log"
[[ " $* " == *" install "* ]] || exit 0
all=$*
for name in ${all##* install }; do
  record='Package: %s\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n\\n'
  printf "$record" "$name" > "$SCRATCH/records/$name"
done
cat "$SCRATCH"/records/* > "$SCRATCH/dpkg/status"
"""

SYSTEMCTL = """#!/bin/bash
echo "systemctl $*" >> "$SCRATCH/log"
place=/etc/systemd/system all=$*
case " $* " in
  *" mask "*) mkdir -p $place; for unit in ${all##* mask }; do ln -s /dev/null "$place/$unit"; done ;;
  *" enable "*) mkdir -p $place/multi-user.target.wants; touch "$place/multi-user.target.wants/${all##* enable }" ;;
  *" ActiveState apt-daily.timer "*) echo active ;;
  *" ActiveState apt-daily.service "*) echo activating ;;
  *" ActiveState "*) echo inactive ;;
esac
"""

#: Two runs of one script as the box's build runs it; the files before and after the second one are compared.
TWICE = """
for folder in /etc /opt /usr/libexec; do mount -t tmpfs none "$folder"; done
[ "$3" = chroot ] || mkdir -p /run/systemd/system
files() { find /etc /opt /usr/libexec -printf '%p %i %T@\\n' | sort; }
once() { env -i SCRATCH="$1" DPKG_ADMINDIR="$1/dpkg" PATH="$1/bin:$PATH" bash -s < "$2" 2>&1; }
once "$1" "$2"
echo again >> "$1/log"
before=$(files)
once "$1" "$2"
diff <(echo "$before") <(files) || echo 'the second run changed files'
"""


@dataclass(frozen=True)
class Machine:
    """A machine with these packages on it; of the last of the component's others only the settings are left."""

    folder: Path
    packages: tuple[str, ...]

    def install(self, component: Component, state: str) -> tuple[list[str], list[str]]:
        """What the component's script called in its first run and in its second; ``state`` is chroot or running."""
        needs.programs("dpkg-query")
        (self.folder / "bin").mkdir()
        played = {"dpkg-query": DPKG_QUERY, "dpkg": DPKG, "apt-get": APT_GET, "systemctl": SYSTEMCTL}
        for name, text in played.items():
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        for folder in ("dpkg", "records"):
            (self.folder / folder).mkdir()
        for name in component.packages:
            status = "install ok installed" if name in self.packages else "deinstall ok config-files"
            record = f"Package: {name}\nStatus: {status}\nArchitecture: all\nVersion: 1\n\n"
            if name in (*self.packages, component.packages[-1]):
                (self.folder / "records" / name).write_text(record)
        records = sorted((self.folder / "records").iterdir())
        (self.folder / "dpkg/status").write_text("".join(record.read_text() for record in records))
        (self.folder / "install.sh").write_text(component.install)
        done = in_namespace(TWICE, str(self.folder), str(self.folder / "install.sh"), state)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        log = (self.folder / "log").read_text().splitlines()
        return log[: log.index("again")], log[log.index("again") + 1 :]


@pytest.mark.parametrize("state", ["chroot", "running"])
@pytest.mark.parametrize("name", INSTALLED_BY_SCRIPT)
def test_a_stock_box_gets_what_it_lacks_and_nothing_twice(name: str, state: str, tmp_path: Path) -> None:
    component = COMPONENTS[name]
    there, lacking = component.packages[::2][1:], (component.packages[0], *component.packages[1::2])
    first, second = Machine(tmp_path, there).install(component, state)
    update, install = (line for line in first if line.startswith("apt-get"))
    assert update == "apt-get --quiet update"
    assert install.endswith(f" install {' '.join(lacking)}")
    assert first.index("dpkg --configure --pending") < first.index(update), "what was killed half-way comes first"
    assert second == ["dpkg-query"], "one process, and no apt"


@pytest.mark.parametrize("name", INSTALLED_BY_SCRIPT)
def test_a_box_that_has_all_packages_asks_apt_for_nothing(name: str, tmp_path: Path) -> None:
    first, second = Machine(tmp_path, COMPONENTS[name].packages).install(COMPONENTS[name], "chroot")
    assert first.count("dpkg-query") == 1
    assert not any(line.startswith("apt-get") for line in first)
    assert second == ["dpkg-query"]


def test_a_running_machine_takes_over_its_settings_at_once_and_a_box_that_is_built_needs_not(tmp_path: Path) -> None:
    node = COMPONENTS["node"]
    (tmp_path / "running").mkdir()
    (tmp_path / "chroot").mkdir()
    told = {state: Machine(tmp_path / state, ()).install(node, state)[0] for state in ("running", "chroot")}
    assert told["running"][-2:] == [
        "systemctl daemon-reload",
        "systemctl try-restart systemd-journald.service ssh.service",
    ]
    stops = [line for line in told["running"] if line.startswith("systemctl stop")]
    assert stops == ["systemctl stop apt-daily.timer", "systemctl stop apt-daily.service"]
    assert told["running"].index(stops[-1]) < told["running"].index("apt-get --quiet update"), "apt's lock is free"
    verbs = [line.removeprefix("systemctl --quiet ").split()[0] for line in told["chroot"] if "systemctl" in line]
    assert verbs == ["mask", "enable"]


@pytest.mark.parametrize("name", INSTALLED_BY_SCRIPT)
def test_the_step_runs_the_very_script_that_the_box_was_built_with(name: str) -> None:
    component = COMPONENTS[name]
    files = render(topology("ha"), site(), vagrantfile=False)
    assert f"bash -s <<'INSTALL'\n{component.install}INSTALL\n" in files[f"nodes/master1/{name}.sh"].content


def test_what_a_component_without_a_script_needs_comes_with_the_machine_itself() -> None:
    without = {name: set(component.packages) for name, component in COMPONENTS.items() if not component.install}
    assert sorted(without) == ["answerer", "probe"]
    assert set.union(*without.values()) <= set(COMPONENTS["node"].packages)
