# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar streams: read and written member by member, with nothing lost that a layer holds."""
