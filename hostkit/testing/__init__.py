# SPDX-License-Identifier: GPL-3.0-or-later
"""The conformance suite for checks and drivers, ours and third parties'."""
