# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of JSON objects that anybody may have written, checked as they are taken.

Go reads a key of any capitals and takes null for nothing, so archives have both.
"""

from typing import cast

from hostkit.data import load_json

Object = dict[str, object]


def load_object(data: bytes, what: str) -> Object:
    """The object in some JSON. Raises ValueError."""
    return as_object(_loaded(data, what), what)


def load_list(data: bytes, what: str) -> list[object]:
    """The list in some JSON. Raises ValueError."""
    tree = _loaded(data, what)
    if not isinstance(tree, list):
        raise ValueError(f"{what} is no list")
    return cast("list[object]", tree)


def _loaded(data: bytes, what: str) -> object:
    try:
        tree: object = load_json(data)
    except ValueError as problem:
        raise ValueError(f"{what} is no JSON: {problem}") from None
    return tree


def as_object(value: object, what: str) -> Object:
    """A value that has to be an object; null is an empty one. Raises ValueError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no object")
    return cast("Object", value)


def text(fields: Object, key: str) -> str:
    """A string, "" when it is missing. Raises ValueError."""
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key} is no string")
    return value


def number(fields: Object, key: str) -> int:
    """A whole number, not negative. Raises ValueError."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is no number")
    return value


def objects(fields: Object, key: str) -> list[Object]:
    """A list of objects, empty when it is missing. Raises ValueError."""
    return [as_object(one, key) for one in _list(fields, key)]


def texts(fields: Object, key: str) -> list[str]:
    """A list of strings, empty when it is missing. Raises ValueError."""
    found: list[str] = []
    for one in _list(fields, key):
        if not isinstance(one, str):
            raise ValueError(f"{key} holds something that is no string")
        found.append(one)
    return found


def _list(fields: Object, key: str) -> list[object]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return cast("list[object]", value)
