# SPDX-License-Identifier: GPL-3.0-or-later
"""One change, as a value that can say, do, confirm and take back itself."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, TypeVar, cast

M_contra = TypeVar("M_contra", contravariant=True)
Reasons: TypeAlias = tuple[str, ...]


class Step(Protocol[M_contra]):
    """A frozen NamedTuple whose last fields are `kind` and `version`, with their values.

    Its fields are all that a later process has, read back from the journal, to finish the
    change or to undo it: so what was there before is a field too. A step with other fields
    is another version. Two steps of one plan never change the same thing. Every method may
    raise OSError or HostkitError.
    """

    @property
    def kind(self) -> str:
        """Names the class in the journal."""
        ...

    @property
    def version(self) -> int:
        """Of the fields."""
        ...

    def describe(self) -> str:
        """One sentence: what is changed from what to what."""
        ...

    def diff(self) -> str:
        """The change as a unified diff, or "" where there is no text to compare."""
        ...

    def conflicts(self, machine: M_contra, /) -> Reasons:
        """Why neither apply nor undo may go on: what somebody else has changed.

        Empty when the thing is as it was before, as this step leaves it, or as a killed
        `apply` leaves it.
        """
        ...

    def apply(self, machine: M_contra, /) -> None:
        """Make the change; also when a killed `apply` has begun it."""
        ...

    def verify(self, machine: M_contra, /) -> Reasons:
        """Why the change is not there; empty means done, and `apply` is left out."""
        ...

    def undo(self, machine: M_contra, /) -> None:
        """Bring back what was; also after a half-done `apply` or `undo`."""
        ...

    def restored(self, machine: M_contra, /) -> Reasons:
        """Why the former state is not back; empty means exactly as before."""
        ...


M = TypeVar("M")
# What an engine can read back from a journal, by kind and version.
Kinds: TypeAlias = Mapping[tuple[str, int], type[Step[M]]]


def kinds_of(*classes: type[Step[M]]) -> Kinds[M]:
    """The classes under the kind and version that their fields say."""
    found: dict[tuple[str, int], type[Step[M]]] = {}
    for one in classes:
        defaults: Mapping[str, Any] = cast("Any", one)._field_defaults
        found[defaults["kind"], defaults["version"]] = one
    return found
