"""The ssh key of a lab's own: made once, kept in the lab's folder. Its machines let in who has it, and nobody else."""

from __future__ import annotations

from pathlib import Path

from lab.command import run
from lab.host import files

#: The private half's file in the lab's folder (the Vagrantfile names it too).
FILE = "ssh_key"


def ensure(folder: Path) -> str:
    """The public half, as authorized_keys has it but for a comment: "ssh-rsa AAAA…".

    The private half is made where it lacks, whole or not at all. Its kind and form are what Vagrant's ssh library logs
    in with by itself (net-ssh 7.0 wants a further gem for Ed25519 and for OpenSSH's own form of a file, and ends with
    "undefined method `fingerprint'" on an elliptic curve's).
    """
    file = folder / FILE
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with files.begun(file) as new:
            new.with_name(f"{new.name}.pub").unlink(missing_ok=True)
            make = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-C", "", "-f", str(new)]
            run(make).check("ssh-keygen comes with ssh: see ./inv doctor")
            new.with_name(f"{new.name}.pub").unlink()
    public = run(["ssh-keygen", "-y", "-f", str(file)]).check(f"{file} is damaged: ./inv destroy, then ./inv up")
    return " ".join(public.stdout.split()[:2])
