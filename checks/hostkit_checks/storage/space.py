# SPDX-License-Identifier: GPL-3.0-or-later
"""Space and inodes where images and containers lie, and what could be given back."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.dataroot import VOLUMES
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import Volume
from hostkit_checks.storage.choice import CHOICE_FACTS, choice, roots_of

FULL_PERCENT = 95
FILLING_PERCENT = 85
_GIB = 1 << 30
# With this much left a large volume at 85 % is in no danger ...
ROOM = 100 * _GIB
# ... and with this much at 95 % no pull fails yet.
SCARCE = 10 * _GIB
# Less than this does not take a larger image, whatever the percentage of a small volume.
LEAST = 1 * _GIB
HALF_PERCENT = 50


@check(
    "data-root-space",
    title="Is there space for images and containers?",
    problems=("docker-root-disk-full",),
    needs=(VOLUMES,),
    required=("docker", "hostkit"),
    subject=("mount", "path"),
)
def space(facts: Facts) -> Iterator[Outcome]:
    """In percent as df(1) counts, and in bytes for very large and very small volumes."""
    for volume in facts.value(VOLUMES):
        if not volume.space.total:
            yield Unknown(f"{volume.mount.fstype} on {volume.mount.target} states no size")
            continue
        percent = _percent(volume)
        left = volume.space.available
        severity = _severity(percent, left)
        where = volume.mount.target
        if severity is None:
            yield Passed(f"{where} is {percent} % full, {_size(left)} left", _place(volume))
        else:
            yield Finding(
                problem="docker-root-disk-full",
                severity=severity,
                summary=f"{where} is {percent} % full: {_size(left)} left for {volume.path}",
                evidence=(Evidence(f"statvfs {volume.path}", f"{left} bytes available"),),
                params=_place(volume),
            )


def _place(volume: Volume) -> tuple[tuple[str, str], ...]:
    return (("mount", volume.mount.target), ("path", volume.path))


def _severity(percent: int, left: int) -> Severity | None:
    if percent >= FULL_PERCENT:
        return Severity.ERROR if left < SCARCE else Severity.WARNING
    filling = percent >= FILLING_PERCENT and left < ROOM
    if filling or (percent >= HALF_PERCENT and left < LEAST):
        return Severity.WARNING
    return None


def _percent(volume: Volume) -> int:
    """As df(1): blocks reserved for root count as neither used nor free; rounded up."""
    used = volume.space.total - volume.space.free
    usable = used + volume.space.available
    return -(-100 * used // usable) if usable > 0 else 100


def _size(count: int) -> str:
    """Bytes for people.

    >>> _size(83 << 30), _size(12 << 20)
    ('83.0 GiB', '12.0 MiB')
    """
    size, unit = count / _GIB, "GiB"
    if count < _GIB:
        size, unit = count / (1 << 20), "MiB"
    return f"{size:.1f} {unit}"


@check(
    "data-root-inodes",
    title="Are there inodes for the files of images and containers?",
    problems=("inodes-exhausted",),
    needs=(VOLUMES,),
    subject=("mount", "path"),
)
def inodes(facts: Facts) -> Iterator[Outcome]:
    """Each file of each layer takes one; ext4 has a fixed number of them."""
    for volume in facts.value(VOLUMES):
        where = volume.mount.target
        if not volume.inodes_limited:
            made = f"{volume.mount.fstype} makes inodes as they are needed"
            yield Passed(made, _place(volume))
            continue
        total, free = volume.space.inodes, volume.space.inodes_free
        percent = -(-100 * (total - free) // total)
        if percent < FILLING_PERCENT:
            yield Passed(f"{percent} % of the inodes of {where} are taken", _place(volume))
            continue
        yield Finding(
            problem="inodes-exhausted",
            severity=Severity.ERROR if percent >= FULL_PERCENT else Severity.WARNING,
            summary=f"{percent} % of the inodes of {where} are taken: {free} left",
            evidence=(Evidence(f"statvfs {volume.path}", f"{free} of {total} inodes free"),),
            params=_place(volume),
        )


@check(
    "dangling-images",
    title="Do images without a name pile up?",
    problems=("dangling-images-reclaimable",),
    uses=CHOICE_FACTS,
    profiles=("docker",),
)
def dangling_images(facts: Facts) -> Iterator[Outcome]:
    """Untagged images that no image was built on; Docker alone knows which are in use."""
    driver = choice(facts).driver
    for root in roots_of(facts):
        if isinstance(root, NotApplicable | Unknown):
            yield root
            continue
        for store in root.stores:
            if driver and store.driver != driver:
                continue
            if store.dangling is None:
                yield Unknown(f"{root.path}/image/{store.driver} could not be counted")
            elif store.dangling:
                count = f"{store.dangling} of {store.images} images"
                verb = "has" if store.dangling == 1 else "have"
                yield Finding(
                    problem="dangling-images-reclaimable",
                    severity=Severity.INFO,
                    summary=f"{count} {verb} no name and no child",
                    evidence=(
                        Evidence(
                            f"{root.path}/image/{store.driver}/repositories.json",
                            f"{store.dangling} images without a tag, on which none is built",
                        ),
                    ),
                )
            else:
                yield Passed(f"no image of {store.images} is without a name")


SPACE_CHECKS: tuple[Check, ...] = (space, inodes, dangling_images)
