# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a store without changing it: its status, and what is wrong with it.

A pool that is at rest is read from its files in pure Python; one that is active is asked
through device-mapper, and its devices are compared with the notes when it lies at rest.
"""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from hostkit import process
from hostkit.errors import InputError
from hostkit.facts.thinpool import METADATA_BLOCK, Mode
from hostkit.storage.driver import Issue
from hostkit.storage.errors import Damaged, StorageError, Unsupported
from hostkit.storage.thin import check as thin
from hostkit.storage.thin.dockerpool import BASE, Note
from hostkit.storage.thin.metadata import Metadata, Run, open_metadata
from hostkit.storage.thinpool.notes import Notes
from hostkit.storage.thinpool.pool import CHECK_HINT, ThinPool
from hostkit.system import lvm
from hostkit.system.dm import CONTROL, DeviceMapper
from hostkit_drivers.devicemapper.backing import Backing, Volume
from hostkit_drivers.devicemapper.options import Options

OPEN, DELETED = "thinpool-transaction-open", "device-deletion-pending"
MENDED = (OPEN, DELETED)
_CHECK_S = 600.0
_MOST_FAULTS = 20
_STEP, _UNITS = 1000, ("B", "kB", "MB", "GB", "TB", "PB")


@contextmanager
def at_rest(backing: Backing) -> Generator[Metadata]:
    """The metadata of a pool that is not active. Raises Unsupported, InputError, Damaged."""
    path = backing.metadata_path()
    if not path or not os.path.exists(path):
        raise Unsupported("the metadata of the pool cannot be read while nothing may be changed")
    with open_metadata(path) as metadata:
        yield metadata


def differing(metadata: Metadata, device: int, below: int) -> int:
    """How many blocks of a device are its own, not those of the device below."""
    own = sum(run.length for run in metadata.runs(device))
    return own - _common(metadata.runs(device), metadata.runs(below))


def _common(ours: Iterator[Run], theirs: Iterator[Run]) -> int:
    """Blocks at the same place in two devices that are the same block of data."""
    total = 0
    mine, other = next(ours, None), next(theirs, None)
    while mine is not None and other is not None:
        begin = max(mine.begin, other.begin)
        end = min(mine.begin + mine.length, other.begin + other.length)
        if begin < end and mine.data - mine.begin == other.data - other.begin:
            total += end - begin
        if mine.begin + mine.length <= other.begin + other.length:
            mine = next(ours, None)
        else:
            other = next(theirs, None)
    return total


def active(backing: Backing, mapper: DeviceMapper) -> ThinPool | None:
    """The pool if it is active; loads no module to find out."""
    return backing.active(mapper) if os.path.exists(CONTROL) else None


def status(
    backing: Backing, mapper: DeviceMapper, notes: Notes, options: Options
) -> list[tuple[str, str]]:
    """The rows of `docker info`, as far as they can be told."""
    base, noted = notes.base(), notes.get(BASE)
    rows = [
        ("Base Device Size", _bytes(noted.size) if noted else "none yet"),
        ("Backing Filesystem", base.filesystem if base else "none yet"),
        ("Udev Sync Supported", "not needed"),
        *backing.rows(),
    ]
    pool = active(backing, mapper)
    if pool is not None:
        said, table = pool.status(), pool.table()
        rows[:0] = [("Pool Name", pool.name), ("Pool Blocksize", _bytes(table.block_size))]
        block = table.block_size
        data, metadata = (
            (said.data_used, said.data_total),
            (said.metadata_used, said.metadata_total),
        )
        rows.append(("Pool State", "needs check" if said.needs_check else said.mode.value))
        full = "fails writes at once" if said.errors_when_full else "holds writers back"
        rows.append(("When Full", full))
    else:
        try:
            with at_rest(backing) as found:
                state = found.state
                block = found.block_size
                data = (state.data_map.allocated, state.data_map.blocks)
                metadata = (state.metadata_map.allocated, state.metadata_map.blocks)
        except (StorageError, InputError, OSError) as problem:
            return [*rows, ("Pool State", f"not active; {problem}")]
        rows[:0] = [("Pool Blocksize", _bytes(block))]
        rows.append(("Pool State", "not active"))
    for name, (used, total), size in (
        ("Data", data, block),
        ("Metadata", metadata, METADATA_BLOCK),
    ):
        rows.append((f"{name} Space Used", _bytes(used * size)))
        rows.append((f"{name} Space Total", _bytes(total * size)))
        rows.append((f"{name} Space Available", _bytes((total - used) * size)))
    rows.append(("Thin Pool Minimum Free Space", _bytes(data[1] * block * options.min_free // 100)))
    pending = sum(note.deleted for note in notes.all())
    rows.append(("Deferred Deleted Device Count", str(pending)))
    return rows


def _bytes(count: int) -> str:
    """As Docker writes sizes: powers of 1000, four digits.

    >>> _bytes(107374182400), _bytes(65536)
    ('107.4GB', '65.54kB')
    """
    size, units = float(count), list(_UNITS)
    while size >= _STEP and len(units) > 1:
        size /= _STEP
        units.pop(0)
    return f"{size:.4g}{units[0]}"


def check(backing: Backing, mapper: DeviceMapper, notes: Notes) -> Iterator[Issue]:
    """Notes against each other, against the pool, and the pool itself."""
    try:
        noted = notes.all()
        last = notes.transaction()
    except Damaged as problem:
        yield Issue("thinpool-note-damaged", notes.folder, problem.message)
        return
    yield from _doubled(noted)
    for note in noted:
        if note.deleted:
            text = "it was in use when it was removed, and its device is still there"
            yield Issue(DELETED, note.name, text, "delete its device")
    pool = active(backing, mapper)
    if pool is not None:
        yield from _state(pool)
        number = pool.status().transaction
    else:
        try:
            with at_rest(backing) as metadata:
                number = metadata.state.transaction
                yield from _compared(metadata, noted)
                yield from _sound(metadata, backing)
        except (Unsupported, FileNotFoundError):
            return
        except (InputError, StorageError, OSError) as problem:
            yield Issue("thinpool-metadata-damaged", backing.metadata_path(), str(problem))
            return
    if last is not None and last.number > number:
        text = f"transaction {last.number} was cut short; the pool is at {number}"
        mend = "take back what it made" if last.number == number + 1 else ""
        yield Issue(OPEN, last.name, text, mend)
    newest = max((note.transaction for note in noted), default=0)
    if newest > number + 1:
        text = f"it is noted in transaction {newest}; the pool is only at {number}"
        name = next(note.name for note in noted if note.transaction == newest)
        yield Issue("thinpool-behind-notes", name, text)


def unmonitored(volume: Volume) -> Iterator[Issue]:
    """A pool of LVM that nobody watches is not extended, whatever its profile says."""
    try:
        rows = lvm.report("lvs", ("vg_name", "lv_name", "lv_dm_path", "seg_monitor"))
    except lvm.LvmFailed as problem:
        yield Issue("thinpool-not-monitored", volume.path, f"unknown whether: {problem.message}")
        return
    for row in rows:
        if row["lv_dm_path"] == volume.path and row["seg_monitor"] != "monitored":
            name = f"{row['vg_name']}/{row['lv_name']}"
            text = f"dmeventd does not watch it: lvchange --monitor y {name}"
            yield Issue("thinpool-not-monitored", volume.path, text)


def _doubled(noted: list[Note]) -> Iterator[Issue]:
    counts = Counter(note.device for note in noted)
    for note in noted:
        if counts[note.device] > 1:
            text = f"device {note.device} is noted for {counts[note.device]} layers"
            yield Issue("thinpool-device-doubled", note.name, text)


def _state(pool: ThinPool) -> Iterator[Issue]:
    said = pool.status()
    if said.needs_check or said.mode in (Mode.FAILED, Mode.READ_ONLY):
        what = "needs check" if said.needs_check else said.mode.value
        yield Issue("thinpool-metadata-damaged", pool.name, f"its state is {what}; {CHECK_HINT}")
    full = [
        f"{used} of {total} blocks of {what}"
        for what, used, total in (
            ("data", said.data_used, said.data_total),
            ("metadata", said.metadata_used, said.metadata_total),
        )
        if total and used >= total
    ]
    if full or said.mode is Mode.OUT_OF_DATA_SPACE:
        yield Issue("thinpool-full", pool.name, f"used are {', '.join(full) or 'all blocks'}")


def _compared(metadata: Metadata, noted: list[Note]) -> Iterator[Issue]:
    there = {one.id: one for one in metadata.devices()}
    for note in noted:
        if there.pop(note.device, None) is None and not note.deleted:
            text = f"device {note.device} of it is not in the pool"
            yield Issue("thinpool-device-missing", note.name, text)
    for one in there.values():
        size = _bytes(one.mapped * metadata.block_size)
        text = f"it is in the pool with {size}, and no note says whose it is"
        yield Issue("thinpool-device-unnoted", f"device {one.id}", text)


def _sound(metadata: Metadata, backing: Backing) -> Iterator[Issue]:
    path = backing.metadata_path()
    report = thin.check(metadata)
    for fault in report.faults[:_MOST_FAULTS]:
        yield Issue("thinpool-metadata-damaged", path, f"{fault.harm.value}: {fault.text}")
    if report.faults:
        return
    try:
        done = process.run(("thin_check", "-q", path), timeout=_CHECK_S)
    except FileNotFoundError:
        return
    if done.status != 0:
        text = (
            f"thin_check finds it damaged: {done.stderr.decode('utf-8', 'replace').strip()[:200]}"
        )
        yield Issue("thinpool-metadata-damaged", path, text)
