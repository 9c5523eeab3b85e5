# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool with a history that a real kernel wrote, read without device-mapper."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostkit.storage.thin.blocks import open_readable
from hostkit.storage.thin.check import check
from hostkit.storage.thin.content import ThinReader, export
from hostkit.storage.thin.dump import dump
from hostkit.storage.thin.metadata import Metadata, open_metadata
from hostkit.storage.thin.usage import usage
from tests.lab import golden
from tests.rig.thintools import ThinTools

pytestmark = pytest.mark.xdist_group("golden thin pools")


@pytest.fixture
def pool(thin_pool_files: Path) -> Path:
    """The folder of a pool that a kernel wrote."""
    return thin_pool_files


@pytest.fixture
def metadata(pool: Path) -> Iterator[Metadata]:
    with open_metadata(str(pool / "metadata")) as opened:
        yield opened


def devices(pool: Path) -> dict[int, dict[str, Any]]:
    return {int(number): one for number, one in golden.expected(pool)["devices"].items()}


def test_the_dump_is_that_of_thin_dump(pool: Path, metadata: Metadata) -> None:
    assert "".join(dump(metadata)) == (pool / "metadata.xml").read_text()


def test_all_references_agree_and_the_sums_are_the_kernels(pool: Path, metadata: Metadata) -> None:
    report = check(metadata)
    assert report.faults == ()
    used = golden.expected(pool)["status"].split()[5]
    assert used == f"{report.data_used}/{metadata.data_blocks}"


def test_what_is_shared_is_what_thin_ls_says(pool: Path, metadata: Metadata) -> None:
    fields = "DEV,EXCLUSIVE_BLOCKS"
    listed = ThinTools().run("thin_ls", "--no-headers", "-o", fields, str(pool / "metadata"))
    theirs = {int(line.split()[0]): int(line.split()[1]) for line in listed.stdout.splitlines()}
    assert usage(metadata).exclusive == theirs


def test_every_device_reads_as_the_kernel_read_it(pool: Path, metadata: Metadata) -> None:
    data = open_readable(str(pool / "data"))
    for number, said in devices(pool).items():
        with io.BufferedReader(ThinReader(metadata, number, data, said["size"]), 1 << 20) as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == said["sha256"], number
    os.close(data)


def test_every_device_is_exported_as_the_kernel_read_it(
    pool: Path, metadata: Metadata, tmp_path: Path
) -> None:
    data = open_readable(str(pool / "data"))
    for number, said in devices(pool).items():
        with (tmp_path / "device").open("w+b") as target:
            mapped = export(ThinReader(metadata, number, data, said["size"]), target.fileno())
            assert mapped == metadata.device(number).mapped * metadata.block_size
            assert hashlib.file_digest(target, "sha256").hexdigest() == said["sha256"], number
            assert os.fstat(target.fileno()).st_blocks * 512 <= mapped
    os.close(data)
