# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen values to JSON and back, strictly: what does not fit its type is refused.

Fields may be str, int, bool, bytes, None, `tuple[X, ...]`, another NamedTuple, unions of
these with None, or `Json`, which is left as it is.
"""

import base64
import binascii
import types
from typing import Any, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Json: TypeAlias = Any  # what json.loads returns; only this module looks into it unchecked


def to_json(value: object) -> Json:
    r"""A value as json.dumps takes it; bytes stay readable when they are text.

    >>> to_json((b"a = 1", b"\xff"))
    [{'text': 'a = 1'}, {'base64': '/w=='}]
    """
    if isinstance(value, bytes):
        try:
            return {"text": value.decode()}
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        names: tuple[str, ...] | None = getattr(items, "_fields", None)
        if names is None:
            return [to_json(item) for item in items]
        return {name: to_json(item) for name, item in zip(names, items, strict=True)}
    return value


def from_json(kind: type[T], data: Json) -> T:
    """The value of that type. Raises ValueError, naming the field that does not fit."""
    return cast("T", _decode(kind, data, kind.__name__))


def _decode(kind: Any, data: Json, where: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if data is None and type(None) in get_args(kind):
            return None
        (kind,) = (choice for choice in get_args(kind) if choice is not type(None))
        return _decode(kind, data, where)
    if origin is tuple:
        item_kind = get_args(kind)[0]
        _typed(list, data, where)
        return tuple(_decode(item_kind, item, f"{where}[{n}]") for n, item in enumerate(data))
    if kind is Any:
        return data
    if kind is bytes:
        return _bytes(data, where)
    if hasattr(kind, "_fields"):
        return _named(kind, data, where)
    return _typed(kind, data, where)


def _named(kind: Any, data: Json, where: str) -> object:
    _typed(dict, data, where)
    if set(data) != set(kind._fields):
        odd = sorted(set(data) ^ set(kind._fields))
        raise ValueError(f"{where}: fields missing or unknown: {', '.join(odd)}")
    hints = get_type_hints(kind)
    return kind(*(_decode(hints[n], data[n], f"{where}.{n}") for n in kind._fields))


def _bytes(data: Json, where: str) -> bytes:
    _typed(dict, data, where)
    try:
        if set(data) == {"text"}:
            return _typed(str, data["text"], where).encode()
        if set(data) == {"base64"}:
            return base64.b64decode(_typed(str, data["base64"], where), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"{where}: {error}") from None
    raise ValueError(f"{where}: neither text nor base64")


def _typed(kind: type[T], data: Json, where: str) -> T:
    if type(data) is not kind:  # exactly: True is not an int here
        raise ValueError(f"{where}: not a {kind.__name__}")
    return data
