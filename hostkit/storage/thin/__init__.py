# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools read from their files or volumes, without device-mapper and without writing.

`metadata.open_metadata` is the way in: devices, mappings, who shares what. `check.check` says
what is wrong with a pool, `content.ThinReader` reads a device's content, `dump.dump` writes
what thin_dump(8) writes, and `dockerpool` knows what Docker noted beside its pool.
"""
