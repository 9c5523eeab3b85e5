# SPDX-License-Identifier: GPL-3.0-or-later
"""devicemapper: layers as thin devices of a pool, on loop files or on a volume of LVM."""
