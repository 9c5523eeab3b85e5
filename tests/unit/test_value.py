# SPDX-License-Identifier: GPL-3.0-or-later
"""Our NamedTuple does what the standard library's does."""

import copy
import pickle
import typing
from typing import Any

import pytest

from hostkit import value


class Ours(value.NamedTuple):
    """A layer."""

    name: str
    size: int = 0
    parts: tuple[str, ...] = ()

    @property
    def large(self) -> bool:
        return self.size > 9


class Theirs(typing.NamedTuple):
    """A layer."""

    name: str
    size: int = 0
    parts: tuple[str, ...] = ()


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_both_kinds_behave_alike(kind: Any) -> None:
    one = kind("a", parts=("x",))
    assert (one.name, one.size, one.parts) == ("a", 0, ("x",)) == one
    assert one == kind(name="a", size=0, parts=("x",))
    assert one._replace(size=10) == ("a", 10, ("x",))
    assert one._asdict() == {"name": "a", "size": 0, "parts": ("x",)}
    assert kind._make(["b", 1, ()]).name == "b"
    assert kind._fields == ("name", "size", "parts")
    assert kind._field_defaults == {"size": 0, "parts": ()}
    assert repr(one) == f"{kind.__name__}(name='a', size=0, parts=('x',))"
    assert hash(one) == hash(("a", 0, ("x",)))
    assert copy.deepcopy(one) == one
    assert type(pickle.loads(pickle.dumps(one))) is kind
    assert typing.get_type_hints(kind) == {"name": str, "size": int, "parts": tuple[str, ...]}
    assert kind.__match_args__ == kind._fields


def test_a_value_can_be_matched() -> None:
    match Ours("a", 10):
        case Ours(name, size):
            assert (name, size) == ("a", 10)


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_both_kinds_are_frozen_and_strict(kind: Any) -> None:
    with pytest.raises(AttributeError):
        kind("a").name = "b"
    with pytest.raises(AttributeError):
        kind("a").other = 1
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind("a", 1, (), 2)
    with pytest.raises(TypeError):
        kind("a", name="b")
    with pytest.raises(TypeError):
        kind("a", other=1)
    with pytest.raises((TypeError, ValueError)):
        kind("a")._replace(other=1)


def test_a_value_may_have_methods() -> None:
    assert Ours("a", 10).large


def test_a_default_before_none_is_refused() -> None:
    make: Any = type(value.NamedTuple)
    with pytest.raises(TypeError):
        make("Wrong", (value.NamedTuple,), {"__annotations__": {"a": int, "b": int}, "a": 1})
