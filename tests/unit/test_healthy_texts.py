# SPDX-License-Identifier: GPL-3.0-or-later
"""What healthy hosts, applications and typing errors print is no trouble of the host."""

from functools import cache
from pathlib import Path

import pytest

from hostkit import plugins
from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.finding import Certainty, Finding
from hostkit.diagnosis.signature import Signature

CORPUS = Path(__file__).parents[1] / "captures" / "healthy" / "texts.txt"
TEXTS = dict(one.split("\n", 1) for one in CORPUS.read_text("utf-8").split("=== ")[1:])


@cache
def signatures() -> tuple[Signature, ...]:
    return plugins.load((plugins.CHECKS_GROUP,)).signatures()


def found(content: str) -> tuple[Finding, ...]:
    return suspects([Text("text", content.splitlines())], signatures())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_it_raises_no_alarm(text: str) -> None:
    assert found(text) == ()


def test_they_raise_none_together_either() -> None:
    """A pattern must not begin in one message and end in the next."""
    assert found("\n".join(TEXTS.values())) == ()


HEAD = "Filesystem     Size  Used Avail Use% Mounted on\n"
DF = f"{HEAD}/dev/sda2       50G   49G  1.0G  98% /\n"
DF_I = """Filesystem    Inodes IUsed IFree IUse% Mounted on
/dev/sda2       3.2M  210K  3.0M    7% /"""


@pytest.mark.parametrize("text", [DF + DF_I, f"{DF_I}\n{DF}"])
def test_a_full_disk_beside_free_inodes_is_a_full_disk_only(text: str) -> None:
    assert [one.problem for one in found(text)] == ["docker-root-disk-full"]


def test_a_full_disk_that_may_have_nothing_to_do_with_docker_is_only_possible() -> None:
    (one,) = found(f"{HEAD}/dev/sdb1 1.8T 1.7T 50G 98% /srv/backup-archive")
    assert one.certainty is Certainty.POSSIBLE
