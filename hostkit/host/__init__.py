# SPDX-License-Identifier: GPL-3.0-or-later
"""Where facts come from: a live machine, a snapshot of one, or only a text."""
