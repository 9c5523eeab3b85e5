# SPDX-License-Identifier: GPL-3.0-or-later
"""Plug-ins are found without importlib.metadata, and a broken one is a finding."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit import plugins
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.signature import Signature

AREAS = {
    "kernel",
    "cgroups",
    "network",
    "firewall",
    "devicemapper",
    "storage",
    "daemon",
    "packages",
    "registry",
    "security",
    "limits",
    "kubernetes",
    "plugins",
}
DRIVERS = {"overlay2", "aufs", "loop-lvm", "direct-lvm", "vfs", "btrfs", "zfs"}


@pytest.fixture(scope="module")
def loaded() -> plugins.Plugins:
    return plugins.load()


def test_all_our_own_are_found(loaded: plugins.Plugins) -> None:
    assert {area.area for area in loaded.areas} >= AREAS
    assert {driver.name for driver in loaded.drivers} >= DRIVERS
    assert loaded.broken == []


def test_every_code_of_a_check_or_signature_is_in_the_catalogue(loaded: plugins.Plugins) -> None:
    known = set(loaded.catalogue().codes())
    named = {code for _, check in loaded.checks() for code in check.problems}
    named |= {signature.problem for signature in loaded.signatures()}
    assert sorted(named - known) == []


def test_every_explanation_can_be_read_and_says_what_it_must(loaded: plugins.Plugins) -> None:
    catalogue = loaded.catalogue()
    poor = [
        problem.code
        for problem in map(catalogue.get, catalogue.codes())
        if not (problem.explanation and problem.harm and problem.sources and problem.remedies)
    ]
    assert poor == []


def test_every_cause_named_in_an_explanation_is_a_slug(loaded: plugins.Plugins) -> None:
    catalogue = loaded.catalogue()
    for code in catalogue.codes():
        assert all(cause == cause.lower().strip() for cause in catalogue.get(code).causes)
        assert code not in catalogue.get(code).causes


def test_names_of_checks_are_unique_and_titled(loaded: plugins.Plugins) -> None:
    names = [check.name for _, check in loaded.checks()]
    assert len(names) == len(set(names))
    assert all(check.title.endswith("?") and check.problems for _, check in loaded.checks())


def test_no_two_areas_explain_the_same_problem(loaded: plugins.Plugins) -> None:
    folders = Path(sys.modules["hostkit_checks"].__file__ or "").parent
    names = [path.name for path in folders.glob("*/explain/*.md")]
    assert len(names) == len(set(names))


def test_a_signature_with_a_short_anchor_has_a_pattern_too(loaded: plugins.Plugins) -> None:
    weak = [s.anchors for s in loaded.signatures() if len(s.anchors[0]) < 8 and not s.pattern]
    assert weak == []


BROKEN = {
    "import": ("nothing_is_called_this", "PLUGIN", "ModuleNotFoundError"),
    "attribute": ("hostkit.errors", "PLUGIN", "AttributeError"),
    "kind": ("hostkit.errors", "HostkitError", "TypeError"),
    "hostile": ("hostile_plugin", "PLUGIN", "RecursionError"),
    "future": ("future_plugin", "PLUGIN", "API 99"),
    "lost": ("lost_plugin", "PLUGIN", "no_such_package"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_plug_in_is_a_finding(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, attribute, reason = BROKEN[case]
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[hostkit.checks]\n{case} = {module}:{attribute}\n")
    (tmp_path / "hostile_plugin.py").write_text("raise RecursionError('\\x1b[2J deep')\n")
    (tmp_path / "future_plugin.py").write_text(
        "from hostkit.diagnosis.check import CheckPlugin\n"
        "PLUGIN = CheckPlugin(99, 'future', 'Future', __name__)\n"
    )
    (tmp_path / "lost_plugin.py").write_text(
        "from hostkit.diagnosis.check import CheckPlugin\n"
        "PLUGIN = CheckPlugin(1, 'lost', 'Lost', 'no_such_package')\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (finding,) = plugins.load().broken
    assert finding.problem == "plugin-broken"
    assert "third_party-1.0" in finding.evidence[0].source
    assert reason in finding.evidence[0].excerpt
    assert finding.evidence[0].excerpt.isprintable()


def test_a_third_party_s_checks_are_run_like_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "their_checks"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from hostkit.diagnosis.check import CheckPlugin\n"
        "PLUGIN = CheckPlugin(1, 'theirs', 'Theirs', __name__)\n"
    )
    (package / "checks.py").write_text(
        "from hostkit.diagnosis.check import check\n"
        "@check('theirs', title='Theirs?', problems=('their-problem',))\n"
        "def theirs(facts):\n    yield from ()\n"
        "CHECKS = (theirs,)\n"
    )
    (package / "signatures.py").write_text("SIGNATURES = ()\n")
    info = tmp_path / "their_checks-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[hostkit.checks]\ntheirs = their_checks:PLUGIN\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "theirs" in [check.name for _, check in plugins.load().checks()]


def test_a_part_that_fails_later_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "half_plugin"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from hostkit.diagnosis.check import CheckPlugin\n"
        "PLUGIN = CheckPlugin(1, 'half', 'Half', __name__)\n"
    )
    (package / "checks.py").write_text("CHECKS = ('not a check',)\n")
    info = tmp_path / "half_plugin-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[hostkit.checks]\nhalf = half_plugin:PLUGIN\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = plugins.load()
    found.checks()
    found.signatures()
    assert [f.evidence[0].source for f in found.broken] == [
        "half_plugin.checks",
        "half_plugin.signatures",
    ]


@given(st.text())
def test_any_entry_points_file_is_survived(content: str) -> None:
    list(plugins.parse_entry_points(content, "d"))


def test_members_are_what_they_claim(loaded: plugins.Plugins) -> None:
    assert all(isinstance(check, Check) for _, check in loaded.checks())
    assert all(isinstance(one, Signature) for one in loaded.signatures())
