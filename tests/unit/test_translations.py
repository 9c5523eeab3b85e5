# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue in another language: complete, true to the English, and never in the way."""

import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from contrib import translations
from contrib.translations import Entry
from hostkit import plugins, text
from hostkit.cli import language
from hostkit.repair.actions import ACTIONS
from hostkit.report import explain
from hostkit.report.style import Style

FOLDER = Path(language.FOLDER) / "zh_CN/LC_MESSAGES"
ENTRIES = translations.read(str(FOLDER / "hostkit.po"))
TRANSLATED = [one for one in ENTRIES[1:] if one.msgstr]
SAID = {one.msgid: one for one in ENTRIES}
NOW = translations.texts()
CATALOGUE = plugins.load((plugins.CHECKS_GROUP,)).catalogue()
# The problems of the learners' notes: each is translated wholly.
NOTES = (
    "kernel-too-old",
    "host-32bit",
    "cgroup-v1-controllers-not-mounted",
    "cgroup-limit-unavailable",
    "cgroup-memory-controller-disabled",
    "kernel-config-missing-features",
    "user-namespaces-disabled",
    "dm-module-missing",
    "libdevmapper-too-old",
    "daemon-connection-eof",
    "docker-machine-virtualbox-failure",
    "ipv4-forwarding-disabled",
    "iptables-chains-flushed",
    "iptables-kernel-module-missing",
    "no-swap-limit-support",
    "aufs-dirperm1-unsupported",
    "loop-lvm-in-use",
    "loop-lvm-space-not-reclaimed",
    "overlay-kernel-too-old",
    "registry-mirror-dead",
    "dangling-images-reclaimable",
    "storage-data-orphaned",
)
UPDATE = "run `python -m contrib.translations`, then translate what it left open"
# What stays as it is: places to be filled in, commands, options, paths, keys, numbers, quotations.
KEPT = (
    r"\{\w+\}|`[^`]+`|\"[^\"]+\"|(?<![\w-])--?[a-z][\w-]*|/[\w.-]+(?:/[\w.-]+)+|\w+(?:[._]\w+)+|"
    r"\d+(?:\.\d+)*|<\w+>"
)


def missing(words: str) -> bool:
    entry = SAID.get(words)
    return entry is None or entry.fuzzy or not entry.msgstr


@pytest.mark.parametrize("code", NOTES)
def test_a_problem_of_the_notes_is_translated_wholly(code: str) -> None:
    spoken = translations.problem_texts(CATALOGUE.get(code))
    stale = [f"{field}: {words}" for field, words in spoken if words and missing(words)]
    assert not stale, UPDATE


def test_the_fixed_words_of_a_report_are_translated() -> None:
    wanted = [words for words, places in NOW.items() if translations.WORDS in places]
    assert not [words for words in wanted if missing(words)], UPDATE


def test_nothing_is_translated_that_is_no_longer_said() -> None:
    assert not [one.msgid for one in TRANSLATED if one.msgid not in NOW], UPDATE


def kept(words: str) -> set[str]:
    marked = {place.rstrip(".") for place in re.findall(KEPT, words, re.ASCII)}
    return marked | {code for code in CATALOGUE.codes() if code in words}


def test_commands_codes_and_places_are_those_of_the_english() -> None:
    for entry in TRANSLATED:
        assert kept(entry.msgid) == kept(entry.msgstr)


def test_a_translation_has_a_certain_width() -> None:
    """Characters that some terminals show in one cell and others in two break the layout."""
    for entry in TRANSLATED:
        assert "A" not in map(unicodedata.east_asian_width, entry.msgstr)
        entry.msgstr.encode("gb2312")  # what a terminal of old can show


def test_the_compiled_catalogue_is_of_the_source() -> None:
    assert (FOLDER / "hostkit.mo").read_bytes() == translations.compiled(ENTRIES), UPDATE
    assert (FOLDER / "hostkit.po").read_text(encoding="utf-8") == translations.write(ENTRIES)


@pytest.mark.skipif(not shutil.which("msgfmt"), reason="gettext's msgfmt is not installed")
def test_gettext_itself_accepts_the_catalogue(tmp_path: Path) -> None:
    made = ["msgfmt", "--check", "-o", str(tmp_path / "x.mo"), str(FOLDER / "hostkit.po")]
    done = subprocess.run(made, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_changed_text_keeps_its_translation_as_fuzzy() -> None:
    head = Entry("", "Language: zh_CN\n")
    old = [head, Entry("It is off", "已关闭", ("one harm",)), Entry("gone", "没了", ("two harm",))]
    new = translations.updated(old, {"It is now off": ("one harm",), "new": ("three harm",)})
    assert new == [
        head,
        Entry("It is now off", "已关闭", ("one harm",), fuzzy=True),
        Entry("new", "", ("three harm",)),
    ]
    assert "已关闭".encode() not in translations.compiled(new)


def test_a_source_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = [
        Entry("", "Language: zh_CN\nX: y\n"),
        Entry('a "b" \\ c', "甲\n乙", ("one harm", "two text 1"), fuzzy=True),
    ]
    (tmp_path / "x.po").write_text(translations.write(entries), encoding="utf-8")
    assert translations.read(str(tmp_path / "x.po")) == entries


@pytest.mark.parametrize("code", NOTES)
def test_a_translated_explanation_fits_a_terminal(code: str) -> None:
    say = language.catalogue_of(("zh_CN",))
    said = explain.render(CATALOGUE.get(code), "yum", ACTIONS, Style(80, say=say))
    assert [line for line in said.splitlines() if text.width(line) > 80] == []
    assert not [line for line in said.splitlines() if line.lstrip()[:1] in set("，。、；：？！）")]
    assert not [line for line in said.splitlines() if line.endswith("（")]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ()),
        ({"LANG": "C"}, ()),
        ({"LANG": "en_US.UTF-8"}, ()),
        ({"LANG": "zh_CN.UTF-8"}, ("zh_CN", "zh")),
        ({"LANG": "zh_CN"}, ("zh_CN", "zh")),
        ({"LANG": "zh_CN.GB18030@stroke"}, ("zh_CN", "zh")),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, ()),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, ()),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "POSIX"}, ()),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, ()),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, ("zh_CN", "zh")),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en_US:zh_CN"}, ()),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, ()),
        ({"LANGUAGE": "zh_CN"}, ()),
        ({"LANG": "", "LC_ALL": "zh_CN.UTF-8"}, ("zh_CN", "zh")),
        ({"LANG": "../../tmp/x"}, ()),
    ],
)
def test_the_language_is_chosen_as_gettext_does(
    environment: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert language.wanted(environment) == expected


@pytest.mark.parametrize("content", [b"", b"\xde\x12\x04\x95", b"no catalogue", b"\0" * 64])
def test_a_broken_catalogue_means_english(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "xx/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "hostkit.mo").write_bytes(content)
    monkeypatch.setattr(language, "FOLDER", str(tmp_path))
    assert language.catalogue_of(("xx",))("error") == "error"


def test_bad_plural_forms_mean_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "xy/LC_MESSAGES"
    folder.mkdir(parents=True)
    head = Entry("", "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=x\n")
    (folder / "hostkit.mo").write_bytes(translations.compiled([head, Entry("error", "错误")]))
    monkeypatch.setattr(language, "FOLDER", str(tmp_path))
    assert language.catalogue_of(("xy",))("error") == "error"


def test_a_text_that_is_empty_stays_so() -> None:
    assert not language.catalogue_of(("zh_CN",))("")
