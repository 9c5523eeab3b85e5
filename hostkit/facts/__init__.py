# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a host: a source and a pure parser giving a frozen, typed value."""
