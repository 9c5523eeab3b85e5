# SPDX-License-Identifier: GPL-3.0-or-later
"""Images, layers and the storage drivers that hold them."""
