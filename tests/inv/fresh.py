"""A host on which the script ``inv`` begins, in a copy of its own: apt, dpkg and Python there only remember."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2]

#: All that the script may call on a Debian system besides apt, dpkg, systemd and Python.
TOOLS = "sh dirname sed sort grep cat cksum readlink flock mktemp tail mv rm chmod sleep mkdir cp touch"

DPKG_QUERY = """#!/bin/sh
shift 3
for name; do if grep -qxF "$name" "$SCRATCH/installed"; then echo "installed $name"; fi; done
"""

APT_GET = """#!/bin/sh
echo "$* $DEBIAN_FRONTEND" >> "$SCRATCH/apt.log"
case " $* " in *" install "*) ;; *) exit 0 ;; esac
[ ! -e "$SCRATCH/unconfigured" ] || { echo "E: dpkg was interrupted, run 'dpkg --configure -a'"; exit 100; }
cat "$SCRATCH/sbin/policy-rc.d" > "$SCRATCH/policy-seen"
[ ! -e "$SCRATCH/apt-waits" ] || { touch "$SCRATCH/waiting"; sleep 30; }
[ ! -e "$SCRATCH/apt-fails" ] || { echo 'E: Unable to locate package'; exit 100; }
for name; do
  case $name in
    -* | *=* | install) ;;
    */*_*.deb) [ -e "$name" ] || exit 100; name=${name##*/}; echo "${name%%_*}" >> "$SCRATCH/installed" ;;
    *) [ -n "$(apt-cache madison "$name")" ] || exit 100; echo "$name" >> "$SCRATCH/installed" ;;
  esac
  if [ "$name" = "$(cat "$SCRATCH/apt-waits-after" 2> /dev/null)" ]; then touch "$SCRATCH/waiting"; sleep 30; fi
done
"""

#: Knows all packages but those in the file not-offered.
APT_CACHE = """#!/bin/sh
grep -qsxF "$2" "$SCRATCH/not-offered" || echo " $2 | 1.0 | http://m.test/debian main"
"""

#: Configures what an interrupted apt left unconfigured; before that, apt refuses to begin.
DPKG = """#!/bin/sh
echo "$*" >> "$SCRATCH/dpkg.log"
rm -f "$SCRATCH/unconfigured"
"""

PYTHON = """#!/bin/sh
case "$1 ${2:-}" in
  -c*) exit "$(cat "$SCRATCH/python-too-old" 2> /dev/null || echo 0)" ;;
  -V*) echo Python 3.9.2 ;;
  "-m venv") echo "venv" >> "$SCRATCH/python.log"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-P -X")
    if [ "$5" = lab.cli.needs ]; then shift 5; PYTHONPATH=%(folder)s exec %(python)s -P "$SCRATCH/needs.py" "$@"; fi
    [ "$5" = lab.debian.package ] || { echo "PYTHONPATH=$PYTHONPATH" "$@"; exit; }
    echo "$5 $6 PYTHONPATH=$PYTHONPATH" >> "$SCRATCH/python.log"
    [ ! -e "$SCRATCH/mirror-waits" ] || { touch "$SCRATCH/waiting"; sleep 30; }
    [ ! -e "$SCRATCH/mirror-fails" ] || { echo "E: no source of Debian 12" >&2; exit 1; }
    touch "$7/$6_1.0_all.deb" ;;
  "-m pip") echo "pip $*" >> "$SCRATCH/python.log"; [ ! -e "$SCRATCH/pip-fails" ] ;;
esac
"""

#: The program's own answer, about the processor and the clone of this host.
NEEDS = """
import sys
from pathlib import Path
from lab.cli.needs import needs
from lab.host import processor
here = Path(__file__).parent
if (here / "needs-fails").exists():
    sys.exit("a fault")
processor.CPUINFO, processor.KVM = here / "cpuinfo", here / "kvm"
print(*needs(sys.argv[1:], here / {clone!r}), sep="\\n")
"""

#: A unit is enabled when its package has come, and when a person did so before (in the file own-units).
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$SCRATCH/systemctl.log"
case $3 in lxc*) package=lxc ;; lib* | virt*) package=libvirt-daemon ;; *) package=$3 ;; esac
case "$1 $3" in
  is-enabled*)
    if grep -qsxF "$3" "$SCRATCH/disabled"; then exit 1; fi
    grep -qsxF "$3" "$SCRATCH/own-units" || grep -qxF "$package" "$SCRATCH/installed"; exit ;;
  disable*) [ ! -e "$SCRATCH/disable-fails" ] || exit 1; echo "$3" >> "$SCRATCH/disabled" ;;
  "is-active lxc-net") exit 0 ;;
  is-active*) exit 3 ;;
esac
"""


@dataclass
class Host:
    """A host with a clone of the project, as far as the script can see. ``name`` is what the clone is called."""

    folder: Path
    uid: int = 0
    packages: list[str] = field(default_factory=list)
    name: str = "clone"

    def __post_init__(self) -> None:
        for name in ("bin", "sbin", self.name, f"{self.name}/configs"):
            (self.folder / name).mkdir()
        for tool in TOOLS.split():
            self.program(tool).symlink_to(shutil.which(tool) or f"/no/such/{tool}")
        self.write_program("dpkg-query", DPKG_QUERY)
        self.write_program("apt-get", APT_GET)
        self.write_program("apt-cache", APT_CACHE)
        self.write_program("dpkg", DPKG)
        self.write_program(
            "python3", PYTHON % {"folder": shlex.quote(str(FOLDER)), "python": shlex.quote(sys.executable)}
        )
        (self.folder / "needs.py").write_text(NEEDS.format(clone=self.name))
        self.write_program("systemctl", SYSTEMCTL)
        self.write_program("id", f"#!/bin/sh\necho {self.uid}\n")
        self.installed.write_text("".join(f"{name}\n" for name in self.packages))
        (self.folder / "os-release").write_text('NAME="Debian"\nVERSION_ID="12"\nID=debian\n')
        (self.folder / "cpuinfo").write_text("flags\t\t: fpu vme sse\n")
        clone = self.folder / self.name
        shutil.copytree(FOLDER / "host", clone / "host")
        for file in (*FOLDER.glob("requirements*.txt"), FOLDER / "configs/ha.yaml"):
            shutil.copy(file, clone / file.relative_to(FOLDER))
        text = (FOLDER / "inv").read_text()
        for path, instead in (
            ("/usr/sbin/policy-rc.d", self.policy),
            ("/usr/bin/python3", self.program("python3")),
            ("/run/systemd/system", self.folder / "systemd"),
            ("/etc/os-release", self.folder / "os-release"),
        ):
            assert path in text
            text = text.replace(path, str(instead))
        (clone / "inv").write_text(text)
        (clone / "inv").chmod(0o755)

    @property
    def policy(self) -> Path:
        return self.folder / "sbin" / "policy-rc.d"

    @property
    def installed(self) -> Path:
        return self.folder / "installed"

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name

    def write_program(self, name: str, text: str) -> None:
        self.program(name).write_text(text)
        self.program(name).chmod(0o755)

    def needs(self) -> list[str]:
        """The packages that are installed now."""
        return sorted(self.installed.read_text().split())

    def log(self, name: str) -> list[str]:
        file = self.folder / f"{name}.log"
        return file.read_text().splitlines() if file.exists() else []

    def start(self, *argv: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        # Under nohup, or in the background of a shell, a signal would be ignored from the beginning (env(1)).
        env = shutil.which("env") or "env"
        return subprocess.Popen(
            [env, "--default-signal=HUP,INT,TERM", str(self.folder / self.name / "inv"), *argv],
            env={"PATH": str(self.folder / "bin"), "SCRATCH": str(self.folder), "TMPDIR": str(self.folder)},
            cwd=cwd or self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def inv(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv, cwd=cwd)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)


def listed(*groups: str, debian: int = 12) -> list[str]:
    """The packages of some lists that this release of Debian has."""
    lines = [line for group in groups for line in (FOLDER / "host" / f"{group}.packages").read_text().splitlines()]
    words = [line.partition("#")[0].split() for line in lines]
    return sorted({name for name, *since in filter(None, words) if int((since or ["0"])[-1]) <= debian})


#: What a lab that builds its box and Kubernetes needs besides Python.
LXC = ("common", "build", "lxc")
LIBVIRT = ("common", "build", "build-libvirt", "libvirt")

#: What one needs that takes a public box and ends before Kubernetes.
NOTHING_BUILT = ("common", "libvirt")
