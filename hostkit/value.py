# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen values that are cheap to declare.

`NamedTuple` here is typing.NamedTuple to type checkers and in all that it offers, but a
class takes 0.03 ms to make instead of 0.17. A preflight declares 150 of them in a process
that lives for about 100 ms, so that is a sixth of its time (`make bench`). Only a generic
value (hostkit/host/answer.py) needs the original.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 - says that it is re-exported
else:
    from operator import itemgetter

    class _Declaration(type):
        """Makes a tuple with named fields of a class body with annotations."""

        def __new__(cls, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            optional = [field in defaults for field in fields]
            if optional != sorted(optional):
                raise TypeError(f"{name}: a field without a default follows one with a default")
            for at, field in enumerate(fields):
                body[field] = property(itemgetter(at))
            body.update(_fields=fields, _field_defaults=defaults, __match_args__=fields)
            body["__slots__"] = ()
            return super().__new__(cls, name, bases, body)

    class NamedTuple(tuple, metaclass=_Declaration):
        """The base of every value: `class Layer(NamedTuple): diff_id: str; size: int = 0`."""

        def __new__(cls, *values, **named):
            if named or len(values) != len(cls._fields):
                values = cls._complete(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _complete(cls, values, named):
            """The values of all fields, those not given from `named` and the defaults."""
            rest = cls._fields[len(values) :]
            merged = {**cls._field_defaults, **named}
            try:
                complete = (*values, *[merged[field] for field in rest])
            except KeyError:
                complete = ()
            if len(complete) != len(cls._fields) or not set(named).issubset(rest):
                cls._refuse(values, named)
            return complete

        @classmethod
        def _refuse(cls, values, named):
            if len(values) > len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(values)}")
            rest = cls._fields[len(values) :]
            wrong = [name for name in named if name not in rest]
            missing = [f for f in rest if f not in named and f not in cls._field_defaults]
            raise TypeError(f"{cls.__name__}: unexpected {wrong}, missing {missing}")

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, **changes):
            wrong = [name for name in changes if name not in self._fields]
            if wrong:
                raise TypeError(f"{type(self).__name__} has no field {wrong}")
            return type(self)(**{**self._asdict(), **changes})

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            shown = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({shown})"

        def __getnewargs__(self):  # copy and pickle
            return tuple(self)
