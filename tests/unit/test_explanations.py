# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue as it is read: whole sentences, and no place left open in a command."""

import re

import pytest

from hostkit import plugins
from hostkit.diagnosis.problem import FAMILIES, Problem

CATALOGUE = plugins.load((plugins.CHECKS_GROUP,)).catalogue()
PROBLEMS = [CATALOGUE.get(code) for code in CATALOGUE.codes()]
# "do not: ADVICE, because WHY": WHY is a clause with a subject, and the only reason.
NO_SUBJECT = r"(?:that|switches|changes|solves|removes|makes|hides|deletes|takes|is|because) "


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.code)
def test_bad_advice_and_its_reason_are_one_sentence(problem: Problem) -> None:
    for bad in problem.harmful:
        assert " because " not in bad.advice
        assert not re.match(NO_SUBJECT, bad.why), bad.why


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.code)
def test_no_command_shows_a_place_that_nothing_filled(problem: Problem) -> None:
    for remedy in problem.remedies:
        assert "{" not in remedy.summary
        shown = [line for family in FAMILIES for line in remedy.commands_for(family, {})]
        for line in (*shown, remedy.undo_for({})):
            assert not re.search(r"(?<![%$])\{[a-z_]+\}", line), line


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.code)
def test_what_a_remedy_depends_on_is_a_name_and_a_value(problem: Problem) -> None:
    for remedy in problem.remedies:
        assert re.fullmatch(r"([a-z-]+=\S+)?", remedy.when)


def test_an_any_remedy_is_left_whatever_a_finding_says() -> None:
    """A value that no remedy knows must not leave a person with nothing."""
    for problem in PROBLEMS:
        conditions = {remedy.when for remedy in problem.remedies if remedy.when}
        for condition in conditions:
            name, _, value = condition.partition("=")
            assert problem.remedies_for({name: value})
