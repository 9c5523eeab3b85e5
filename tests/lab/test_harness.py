# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: commands, time-outs, and nothing left of a guest."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.uml import ROOT, CommandError, GuestLostError, Lab


def processes(folder: Path) -> list[str]:
    """The command lines of this machine's processes that name the folder."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if str(folder).encode() in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_any_bytes_go_in_and_come_out(lab: Lab) -> None:
    every = bytes(range(256)) * 1000
    with lab.boot() as guest:
        done = guest.run("cat", stdin=every)
        assert done.stdout == every
        assert guest.run("sh", "-c", "echo no >&2; exit 7", check=False)[1:] == (7, b"", b"no\n")
        assert guest.run("sh", "-c", "kill -9 $$", check=False).status == -9
        assert guest.run("no-such-program", check=False).status == 127
        with pytest.raises(CommandError, match=r"exited 2:\nls: cannot access"):
            guest.run("ls", "/no-such-file")


def test_programs_run_side_by_side(lab: Lab) -> None:
    with lab.boot() as guest:
        slow = guest.start("sh", "-c", "while [ ! -e /run/go ]; do sleep 0.1; done; echo went")
        guest.run("touch", "/run/go")
        assert slow.wait().text == "went\n"


def test_the_checkout_is_inside_and_what_is_written_there_stays_there(lab: Lab) -> None:
    mark = f"written-in-a-guest-{os.getpid()}"
    with lab.boot() as guest:
        where = guest.python("import hostkit; print(hostkit.__file__)").strip()
        assert where == str(ROOT / "hostkit/__init__.py")
        guest.shell(f"cp /etc/passwd /etc/{mark}; touch {ROOT}/{mark} /tmp/{mark}")
    assert not [place for place in ("/etc", ROOT, "/tmp") if (Path(place) / mark).exists()]


@pytest.mark.root
def test_not_even_the_kernel_of_a_guest_can_write_this_machines_files(lab: Lab) -> None:
    script = "mount -t hostfs none /media; touch /media/$0 2>&1 ||:"
    with lab.boot() as guest:
        for folder in ("etc", str(ROOT)[1:]):
            said = guest.run("sh", "-c", script, f"{folder}/no-such-file").text
            assert "Read-only file system" in said


def test_a_time_out_ends_the_guest_and_tells_what_was_said(lab: Lab) -> None:
    with lab.boot() as guest:
        folder = guest.share
        began = time.monotonic()
        with pytest.raises(GuestLostError, match="time-out of sh -c echo so far; sleep 60") as lost:
            guest.run("sh", "-c", "echo so far; sleep 60", timeout=1)
        assert time.monotonic() - began < 15
        assert "\nso far\n" in str(lost.value)
        with pytest.raises(GuestLostError, match="takes no orders"):
            guest.run("true")
    assert not processes(folder)


def test_a_kernel_that_panics_is_told_with_its_last_words(lab: Lab) -> None:
    with lab.boot() as guest, pytest.raises(GuestLostError, match="sysrq triggered crash"):
        guest.shell("echo c > /proc/sysrq-trigger; sleep 30")


def test_a_guest_that_is_cut_leaves_no_process_and_no_file() -> None:
    before = {name for place in ("/tmp", "/dev/shm") for name in os.listdir(place)}
    with Lab() as lab:
        disk = lab.disk("16M")
        with lab.boot([disk]) as guest:
            guest.start("sh", "-c", "sleep 1000 & sleep 1000")
            guest.cut()
            assert not processes(lab.folder)
    assert not lab.folder.exists()
    assert not Path.home().joinpath(".uml").exists()
    after = {name for place in ("/tmp", "/dev/shm") for name in os.listdir(place)}
    assert not [name for name in after - before if "uml" in name or name == lab.folder.name]


def test_a_test_run_that_is_killed_takes_its_guests_along(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from tests.lab.uml import Lab\n"
        "lab = Lab(); guest = lab.boot(); print(lab.folder, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        ["python3", "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        assert processes(folder)
        run.kill()
    deadline = time.monotonic() + 10
    while processes(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes(folder)


def test_golden_disks_are_copied_with_their_holes(lab: Lab) -> None:
    disk = lab.disk("1G")
    with disk.path.open("r+b") as file:
        file.seek(512 << 20)
        file.write(b"x" * 4096)
    copy = lab.disk(golden=disk.path, size="2G")
    assert copy.path.stat().st_size == 2 << 30
    assert copy.written() <= 64 << 10
    with copy.path.open("rb") as file:
        file.seek(512 << 20)
        assert file.read(4096) == b"x" * 4096
