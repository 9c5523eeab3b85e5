# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written is read back the same, and nothing else is accepted."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.errors import InputError
from hostkit.plan.codec import from_json, to_json
from hostkit.plan.plan import is_run_id, new_plan, read_step
from hostkit.repair.registry import STEP_KINDS
from hostkit.system.file import FileState, WriteFile
from hostkit.system.sysctl import Reset, SetSysctl

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class Sample(NamedTuple):
    name: str
    number: int
    flag: bool
    raw: bytes
    maybe: Reset | None
    many: tuple[Reset, ...]


RESETS = st.builds(Reset, st.text(), st.text(), st.text())
SAMPLES = st.builds(
    Sample,
    st.text(),
    st.integers(),
    st.booleans(),
    st.binary(),
    st.none() | RESETS,
    st.lists(RESETS).map(tuple),
)


@given(SAMPLES)
def test_every_value_survives_json(sample: Sample) -> None:
    assert from_json(Sample, json.loads(json.dumps(to_json(sample)))) == sample


@given(JSON)
def test_other_json_is_refused_with_value_error(data: Any) -> None:
    with pytest.raises(ValueError, match="Sample"):
        from_json(Sample, data)


@pytest.mark.parametrize(
    "change",
    [
        {"number": True},
        {"number": "1"},
        {"flag": 1},
        {"name": None},
        {"raw": "text"},
        {"raw": {"base64": "%%"}},
        {"raw": {"text": "\ud800"}},
        {"maybe": {"key": "a"}},
        {"many": {}},
        {"many": [1]},
        {"more": 1},
    ],
)
def test_a_field_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    good = to_json(Sample("a", 1, True, b"\xff", None, (Reset("k", "0", "1"),)))
    assert from_json(Sample, good)
    with pytest.raises(ValueError, match="Sample"):
        from_json(Sample, {**good, **change})


STEPS = (
    SetSysctl("net.ipv4.ip_forward", "1", "0", (Reset("net.ipv4.conf.lo.forwarding", "0", "1"),)),
    WriteFile("/etc/a", b"\xff\n", 0o644, None),
    WriteFile("/etc/a", b"new\n", 0o644, FileState(b"\x00old", 0o600, 1, 2)),
)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_read_back_equal(step: SetSysctl | WriteFile) -> None:
    assert read_step(json.loads(json.dumps(to_json(step))), STEP_KINDS) == step


@pytest.mark.parametrize("change", [{"kind": "format-disk"}, {"version": 2}, {"kind": None}])
def test_an_unknown_kind_or_version_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_step({**to_json(STEPS[0]), **change}, STEP_KINDS)


@given(JSON)
def test_a_hostile_step_is_an_input_error(data: Any) -> None:
    with pytest.raises(InputError):
        read_step(data, STEP_KINDS)


def test_a_new_plan_names_its_run() -> None:
    plan = new_plan("a title", STEPS)
    assert is_run_id(plan.id)
    assert not is_run_id(plan.id + "/")
