# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distribution a text comes from, as far as its words give that away."""

import re
from collections.abc import Iterable, Sequence

from hostkit.diagnosis.finding import Finding

_FIRST_DNF_EL = 8
_ENTERPRISE = r"[.\-_]el(\d{1,2})(?![a-z0-9])"
# The release of a kernel: a container shows that of its host, so it tells of the machine.
_KERNEL = r"\b\d\.\d{1,2}\.\d{1,3}-[\d.]+(?:[\w.]*\.(?P<rpm>el\d|fc\d\d)|-(?P<apt>generic|amd64)\b)"
# What only the programs of one family print, or only its repositories are called.
_SIGNS: tuple[tuple[str, str], ...] = (
    (
        "apt",
        r"ubuntu|debian|[~+]deb\d|\bapt(?:-get|-key)?\b|\bdpkg\b|pkgProblemResolver"
        r"|unmet dependencies|NO_PUBKEY|installation candidate|Unable to locate package"
        r"|Release file|\bRelease' |\[IP: |Hash Sum mismatch",
    ),
    (
        "dnf",
        r"\.fc\d\d\b|\bdnf\b|appstream|baseos|CentOS-\d+-Stream|metadata for repo"
        r"|Cannot prepare internal mirrorlist|Status code: \d+ for",
    ),
    ("yum", r"\byum\b|\[Errno 14\]|Could not retrieve mirrorlist|mirrorlist\.centos\.org"),
    ("zypper", r"suse|zypper"),
)
_GROUPS = {"yum": "rpm", "dnf": "rpm"}
PACKAGES = "packages"  # the area whose problems are those of one family's programs


def family_in(words: str) -> str:
    """Which distribution's packages a message names, if one can tell.

    >>> family_in("kernel 5.14.0-503.16.1.el9_5.x86_64"), family_in("docker-ce-18.09-3.el7")
    ('dnf', 'yum')
    >>> family_in("Docker version 20.10.24+dfsg1"), family_in("~ubuntu-focal"), family_in("")
    ('any', 'apt', 'any')
    >>> family_in("yum: Failed to download metadata for repo 'appstream'")
    'dnf'
    """
    enterprise = re.search(_ENTERPRISE, words)
    if enterprise:
        return "yum" if int(enterprise[1]) < _FIRST_DNF_EL else "dnf"
    found = [family for family, sign in _SIGNS if re.search(sign, words, re.IGNORECASE)]
    if found == ["dnf", "yum"]:  # from EL 8 on, yum is another name of dnf
        return "dnf"
    return found[0] if len(found) == 1 else "any"


def same_system(one: str, other: str) -> bool:
    """Whether two families may be one machine; `any` may be each."""
    return "any" in (one, other) or _GROUPS.get(one, one) == _GROUPS.get(other, other)


def quoted(findings: Iterable[Finding]) -> str:
    """The words that findings quote."""
    return " ".join(evidence.excerpt for one in findings for evidence in one.evidence)


def remedy_family(finding: Finding, area: str, family: str) -> str:
    """The family whose commands mend it: the text's, where its package program complained."""
    if area != PACKAGES:
        return family
    said = family_in(quoted((finding,)))
    return family if said == "any" or (family != "any" and same_system(said, family)) else said


def split(
    found: Sequence[Finding], areas: Iterable[str], family: str
) -> tuple[list[Finding], list[Finding]]:
    """The suspicions that a host of this family may judge, and those of another machine.

    A container of another distribution may print much, so only what package programs
    say of themselves, or a foreign kernel, tells of another machine.
    """
    kernel = re.search(_KERNEL, quoted(found))
    if kernel is not None:
        named = "yum" if kernel["rpm"] else "apt"
        if not same_system(named, family):
            return [], list(found)
    mine: list[Finding] = []
    foreign: list[Finding] = []
    for one, area in zip(found, areas, strict=True):
        elsewhere = area == PACKAGES and not same_system(family_in(quoted((one,))), family)
        (foreign if elsewhere else mine).append(one)
    return mine, foreign
