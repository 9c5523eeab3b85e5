# SPDX-License-Identifier: GPL-3.0-or-later
"""From a remedy (data) to a plan."""
