# SPDX-License-Identifier: GPL-3.0-or-later
"""hostkit: what keeps a container host from working, with evidence and a remedy."""

__version__ = "0.1.0"
