# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments in, exit code out; the only place that wires things together."""
