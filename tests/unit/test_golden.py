# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole reports in Chinese, as a person sees them; HOSTKIT_GOLDEN=write writes them anew."""

import os
from pathlib import Path

import pytest

from hostkit import __version__, plugins, text
from hostkit.cli import language
from hostkit.diagnosis.advise import advise
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.rank import rank
from hostkit.diagnosis.runner import Result
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.repair.actions import ACTIONS
from hostkit.report import explain
from hostkit.report import text as text_report
from hostkit.report.model import Report
from hostkit.report.style import Style
from hostkit.report.text import Verbosity

FOLDER = Path(__file__).resolve().parents[1] / "golden/zh_CN"
CATALOGUE = plugins.load((plugins.CHECKS_GROUP,)).catalogue()
NEVER_FIRST = set("，。、；：？！）")


def style() -> Style:
    return Style(80, say=language.catalogue_of(("zh_CN",)))


def same(name: str, said: str) -> None:
    """The text is the file's, and every line of it fits and begins well."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("HOSTKIT_GOLDEN") == "write":
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")
    assert [line for line in said.splitlines() if text.width(line) > 80] == []
    assert [line for line in said.splitlines() if line.lstrip()[:1] in NEVER_FIRST] == []
    assert [line for line in said.splitlines() if line.endswith("（")] == []


@pytest.mark.parametrize("code", ["libdevmapper-too-old", "no-swap-limit-support"])
def test_a_problem_is_explained_in_chinese(code: str) -> None:
    same(code, explain.render(CATALOGUE.get(code), "yum", ACTIONS, style()))


def nothing(facts: Facts) -> tuple[Outcome, ...]:
    return ()


def checked(name: str, *outcomes: Outcome) -> Result:
    return Result(Check(name, name, nothing, ()), outcomes)


def preflight() -> Report:
    forwarding = Finding(
        "ipv4-forwarding-disabled",
        Severity.ERROR,
        "net.ipv4.ip_forward is 0",
        (Evidence("/proc/sys/net/ipv4/ip_forward", "0"),),
    )
    names = Finding(
        "dns-resolution-failure",
        Severity.WARNING,
        "names are not resolved in containers",
        (Evidence("journal", "lookup registry-1.docker.io: i/o timeout", 12),),
        Certainty.LIKELY,
    )
    loop = Finding(
        "loop-lvm-in-use",
        Severity.WARNING,
        "docker's thin pool lies on /dev/loop0 and /dev/loop1",
        (Evidence("dmsetup table", "thin-pool 7:1 7:0 128 32768"),),
    )
    swap = Finding("no-swap-limit-support", Severity.INFO, "no swap limit", (), past=True)
    results = (
        checked("forwarding", forwarding),
        checked("links", Passed("eth0 and docker0 are up")),
        checked("pool", loop),
        checked("udev", NotApplicable("nothing to look at")),
        checked("rules", Unknown("iptables-save: permission denied", needs_root=True)),
        checked("release", Passed("3.10.0-1160.el7.x86_64 is recent enough")),
    )
    areas = ("network", "network", "devicemapper", "devicemapper", "firewall", "kernel")
    overlay = Fitness("overlay2", (Reason(Weight.FAVOURS, "the kernel joins many layers"),))
    copies = Fitness("vfs", (Reason(Weight.ADVISES_AGAINST, "each layer is a full copy"),))
    aufs = Fitness("aufs", (Reason(Weight.BLOCKS, "the kernel has no aufs"),))
    return Report(
        diagnosis=Diagnosis(
            host="web07",
            source="live",
            findings=rank((forwarding, names, loop, swap), CATALOGUE),
            checks=results,
            notes=("the journal was read since this boot",),
            duration_s=0.25,
        ),
        identity=("web07", "CentOS Linux 7 (Core)", "kernel 3.10.0-1160.el7.x86_64", "no engine"),
        areas=dict(zip((one.check.name for one in results), areas, strict=True)),
        family="yum",
        target="docker",
        again="hostkit preflight",
        exit_code=1,
        advice=advise((overlay, copies, aufs)),
        fixable=ACTIONS,
    )


def test_a_preflight_is_reported_in_chinese() -> None:
    said = text_report.render(preflight(), style(), Verbosity.VERBOSE)
    same("preflight", said.replace(f"hostkit {__version__}", "hostkit VERSION"))
