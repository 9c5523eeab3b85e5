# SPDX-License-Identifier: GPL-3.0-or-later
"""hostkit for a person who reads Chinese; programs, and terminals without it, get English."""

import re
from pathlib import Path

import pytest

from hostkit import text
from tests.e2e.command import FORWARDING, hostkit, on_terminal

CHINESE = {"LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1", "COLUMNS": "80"}
EXPLAIN = ("explain", "ipv4-forwarding-disabled")
DOCTOR = ("doctor", FORWARDING, "--host", "none")
TITLE = "IPv4 转发已关闭"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("collected") / "here.tar.gz"
    assert hostkit("collect", "-o", str(path)).code == 0
    return str(path)


def test_a_terminal_speaks_chinese() -> None:
    said = on_terminal(*DOCTOR, environment={**CHINESE, "NO_COLOR": "1"})
    for words in ("错误[ipv4-forwarding-disabled] (很可能) IPv4 转发已关闭", "修复：", "退出码 1"):
        assert words in said
    assert "sysctl -w net.ipv4.ip_forward=1" in said
    assert max(map(text.width, said.splitlines())) <= 80


def test_a_preflight_on_a_terminal_fits() -> None:
    said = on_terminal("preflight", environment={**CHINESE, "NO_COLOR": "1"})
    assert "退出码" in said
    assert not [
        line
        for line in said.splitlines()
        if text.width(line) > 80 and len(line.split()[-1]) < 40  # a path cannot be broken
    ]


def test_a_file_is_in_chinese_whatever_the_terminal_can_show(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    hostkit(*DOCTOR, "-o", str(path), environment={**CHINESE, "PYTHONIOENCODING": "latin-1"})
    assert TITLE in path.read_text(encoding="utf-8")


def test_help_and_errors_are_in_chinese() -> None:
    assert "用法：hostkit" in hostkit("--help", environment=CHINESE).out
    ended = hostkit("doctor", "--host", "none", environment=CHINESE)
    assert ended.code == 2
    assert ended.err.startswith("错误：--host none 需要一段文字\n提示：")


@pytest.mark.parametrize("form", ["json", "junit", "lines"])
def test_what_programs_read_is_never_translated(form: str, snapshot: str) -> None:
    for words in (DOCTOR, ("preflight", "--snapshot", snapshot)):
        ours = hostkit(*words, "--format", form, environment=CHINESE)
        theirs = hostkit(*words, "--format", form)
        assert ours.code == theirs.code
        assert timeless(ours.out) == timeless(theirs.out)


def timeless(report: str) -> str:
    return re.sub(r'("duration_s": |\btime="|\btimestamp=")[^,"]+', r"\1", report)


@pytest.mark.parametrize("words", [EXPLAIN, ("list", "problems"), ("list", "checks")])
def test_json_of_the_catalogue_is_never_translated(words: tuple[str, ...]) -> None:
    ours = hostkit(*words, "--format", "json", environment=CHINESE)
    assert ours.out == hostkit(*words, "--format", "json").out


def test_a_pipe_gets_lines_in_english() -> None:
    assert hostkit(*DOCTOR, environment=CHINESE).out == hostkit(*DOCTOR).out


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX"},
        {"LC_ALL": "C", "LANGUAGE": "zh_CN"},
        {"LC_ALL": "fr_FR.UTF-8"},
        {"LC_ALL": "zh_CN.UTF-8", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "zh_CN.UTF-8", "PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "zh_CN.ISO-8859-1", "PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "zh_CN.BIG5", "PYTHONIOENCODING": "big5"},
        {"LC_ALL": "../../../tmp/zh_CN.UTF-8"},
    ],
    ids=str,
)
def test_english_where_chinese_cannot_be_shown(environment: dict[str, str]) -> None:
    ended = hostkit(*EXPLAIN, environment=environment)
    assert ended.code == 0
    assert "IPv4 forwarding is disabled" in ended.out
    assert "Traceback" not in ended.err


def test_a_locale_that_is_not_installed_is_served_all_the_same() -> None:
    """A small server has LANG=zh_CN.UTF-8 from ssh and no such locale."""
    for name in ("LANG", "LC_ALL"):
        assert TITLE in hostkit(*EXPLAIN, environment={"LC_ALL": "", name: "zh_CN.UTF-8"}).out


def test_a_terminal_of_gb18030_gets_its_bytes() -> None:
    environment = {**CHINESE, "PYTHONIOENCODING": "gb18030"}
    path = "/dev/stdout"
    with pytest.raises(UnicodeDecodeError):  # the helper reads UTF-8
        hostkit(*EXPLAIN, environment=environment)
    assert TITLE in hostkit(*EXPLAIN, "-o", path, environment=environment).out


def test_the_console_of_the_kernel_gets_english() -> None:
    said = on_terminal(*EXPLAIN, environment={**CHINESE, "TERM": "linux"})
    assert "IPv4 forwarding is disabled" in said
    assert text.width(said) == len(said)


def test_a_run_in_english_does_not_open_a_catalogue() -> None:
    code = (
        "import sys, os; sys.argv=['hostkit', '--help']; from hostkit.cli import main, language;"
        "main.main(); print(language.catalogue_of.cache_info().currsize, 'gettext' in sys.modules)"
    )
    from subprocess import run
    from sys import executable

    done = run([executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert done.stdout.endswith("\n0 False\n")
