"""When all is there: the words arrive, the virtual environment is made once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from fresh import FOLDER, LIBVIRT, LXC, Host, listed


class TestAllThere:
    """When all is there the task runs, and nothing else does."""

    def test_the_words_arrive_as_they_were_typed(self, host: Host) -> None:
        host.inv()
        done = host.inv("ssh", "master1", "echo  two  spaces", "*")
        words = "-P -X utf8 -m lab.program ssh master1 echo  two  spaces *"
        assert done.stdout == f"PYTHONPATH={host.folder}/clone {words}\n"
        assert done.stderr == ""

    def test_it_can_be_called_from_anywhere(self, host: Host, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        assert host.inv("--list", cwd=tmp_path / "elsewhere").returncode == 0

    def test_a_clone_may_be_called_what_people_call_folders(self, tmp_path: Path) -> None:
        name = """mein "Läb" o'brien $HOME `id` #{1} * [a] 100% \\ ;&<>|()! """
        host = Host(tmp_path, packages=listed("python"), name=name)
        assert "making the virtual environment" in host.inv("--list").stderr
        done = host.inv("status")
        assert done.stdout == f"PYTHONPATH={tmp_path}/{name} -P -X utf8 -m lab.program status\n"
        assert done.stderr == ""

    @pytest.mark.parametrize("name", ["a:b", "two\nlines"])
    def test_a_clone_that_python_could_not_find_is_refused_at_once(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).mkdir()
        shutil.copy(FOLDER / "inv", tmp_path / name / "inv")
        done = subprocess.run([tmp_path / name / "inv", "up"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 64
        assert name in done.stderr and "move or rename it" in done.stderr
        assert [file.name for file in (tmp_path / name).iterdir()] == ["inv"], "nothing was begun"

    def test_the_environment_is_made_once(self, host: Host) -> None:
        first = host.inv("up", "--provider", "lxc")
        assert "making the virtual environment" in first.stderr
        made = host.log("python")
        assert made[0] == "venv"
        assert host.inv("up", "--provider", "lxc").stderr == ""
        assert host.inv("status").stderr == ""
        assert host.log("python") == made
        assert host.log("apt") == []

    def test_other_requirements_or_another_python_renew_the_environment(self, host: Host) -> None:
        host.inv()
        with (host.folder / "clone" / "requirements.txt").open("a") as file:
            file.write("another==1\n")
        assert "making" in host.inv().stderr
        shutil.move(host.folder / "clone/.venv/bin/python", host.folder / "bin/python3.13")
        (host.folder / "clone/.venv/bin/python").symlink_to(host.folder / "bin/python3.13")
        assert "making" in host.inv().stderr

    def test_an_installation_that_failed_is_begun_again(self, host: Host) -> None:
        (host.folder / "pip-fails").touch()
        assert host.inv("--list").returncode == 1
        (host.folder / "pip-fails").unlink()
        assert "making" in host.inv("--list").stderr
        assert host.inv("--list").stderr == ""

    def test_an_old_python_is_named(self, host: Host) -> None:
        (host.folder / "python-too-old").write_text("1")
        done = host.inv("--list")
        assert done.returncode == 64
        assert "Python 3.11 or later is needed (Python 3.9.2)" in done.stderr

    def test_the_tests_tools_come_with_the_first_test_and_stay(self, tmp_path: Path) -> None:
        host = Host(tmp_path, packages=listed("python", *LXC, *LIBVIRT, "test"))
        host.inv("up", "--provider", "lxc")
        assert not any("requirements-test" in line for line in host.log("python"))
        assert "installing the Python packages of requirements-test.txt" in host.inv("test", "--fast").stderr
        made = host.log("python")
        assert made.count("venv") == 1, "what was there stays"
        assert "requirements-test" in made[-1]
        host.inv("up", "-p", "lxc")
        host.inv("test")
        assert host.log("python") == made

    def test_every_file_is_known_by_its_hash(self, tmp_path: Path) -> None:
        host = Host(tmp_path, packages=listed("python", *LXC, *LIBVIRT, "test"))
        host.inv("test")
        installed = [line for line in host.log("python") if line.startswith("pip ")]
        assert [line.rpartition("/")[2] for line in installed] == [
            "requirements.txt",
            "requirements-build.txt",
            "requirements-libvirt.txt",
            "requirements-test.txt",
        ]
        assert all("--require-hashes" in line for line in installed)
        built = [line for line in installed if "--only-binary :all:" not in line]
        assert built == [line for line in installed if "requirements-libvirt" in line]
        assert all("--no-build-isolation" in line for line in built)

    def test_libvirts_bindings_come_with_the_first_lab_that_needs_them_and_stay(self, tmp_path: Path) -> None:
        host = Host(tmp_path, packages=listed("python", *LXC, *LIBVIRT))
        host.inv("up", "--provider", "lxc")
        assert not any("requirements-libvirt" in line for line in host.log("python"))
        host.inv("up", "--provider=libvirt")
        made = host.log("python")
        assert any("requirements-libvirt" in line for line in made)
        host.inv("up", "-p", "lxc")
        host.inv("status")
        host.inv("up", "-p", "libvirt")
        assert host.log("python") == made


@pytest.mark.parametrize("dialect", ["sh", "bash"])
def test_shellcheck_has_nothing_to_say(dialect: str) -> None:
    argv = ["shellcheck", f"--shell={dialect}", "--severity=style", str(FOLDER / "inv")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_list_of_packages_has_one_of_programs() -> None:
    lists = {file.name for file in (FOLDER / "host").iterdir()}
    groups = {name.partition(".")[0] for name in lists}
    assert lists == {f"{group}.{kind}" for group in groups for kind in ("packages", "programs")}
