# SPDX-License-Identifier: GPL-3.0-or-later
"""What both kinds of pool need of the host."""

from collections.abc import Iterator

from hostkit.facts.devicemapper import DEVICE_MAPPER
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Reason, Weight
from hostkit.facts.libdevmapper import BASE, DEFERRED_REMOVE, LIBDEVMAPPER
from hostkit.host.answer import Known
from hostkit.storage import reasons


def common(facts: Facts) -> Iterator[Reason]:
    """The engine, device-mapper and its thin-pool target, and deferred removal."""
    yield from reasons.engine(facts, "devicemapper", "devicemapper-deprecated")
    mapper = facts.get(DEVICE_MAPPER)
    if isinstance(mapper, Known) and mapper.value.registered:
        yield Reason(Weight.FAVOURS, "the kernel has device-mapper", mapper.source)
    else:
        yield reasons.module(facts, "dm_mod", "dm-module-missing")
    yield reasons.module(facts, "dm_thin_pool", "dm-module-missing")
    yield from _deferred_removal(facts)


def _deferred_removal(facts: Facts) -> Iterator[Reason]:
    """Without it a device that is busy stays for ever; dockerd asks the library for it."""
    answer = facts.get(LIBDEVMAPPER)
    if not isinstance(answer, Known) or not answer.value:
        return  # a dockerd that is linked statically needs no library
    if not any(library.exports(DEFERRED_REMOVE, BASE) for library in answer.value):
        text = "libdevmapper here has no deferred removal: busy devices are left behind"
        yield Reason(Weight.ADVISES_AGAINST, text, answer.source, "libdevmapper-too-old")
