# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool's metadata as XML: the words of thin_dump(8), which thin_restore(8) reads."""

from collections.abc import Iterator

from hostkit.storage.thin.metadata import Metadata, Run

_LINES = 512  # lines handed over at a time


def dump(metadata: Metadata) -> Iterator[str]:
    """The whole pool as XML, some lines at a time; memory does not grow with the pool."""
    state = metadata.state
    yield (
        f'<superblock uuid="" time="{state.time}" transaction="{state.transaction}"'
        f' flags="{state.flags}" version="{state.version}"'
        f' data_block_size="{state.data_sectors}" nr_data_blocks="{metadata.data_blocks}">\n'
    )
    for device in metadata.devices():
        yield (
            f'  <device dev_id="{device.id}" mapped_blocks="{device.mapped}"'
            f' transaction="{device.transaction}" creation_time="{device.created}"'
            f' snap_time="{device.snapshotted}">\n'
        )
        lines: list[str] = []
        for run in metadata.runs(device.id):
            lines.append(_mapping(run))
            if len(lines) == _LINES:
                yield "".join(lines)
                lines.clear()
        lines.append("  </device>\n")
        yield "".join(lines)
    yield "</superblock>\n"


def _mapping(run: Run) -> str:
    begin, data, length, time = run
    if length == 1:
        return f'    <single_mapping origin_block="{begin}" data_block="{data}" time="{time}"/>\n'
    return (
        f'    <range_mapping origin_begin="{begin}" data_begin="{data}" length="{length}"'
        f' time="{time}"/>\n'
    )
