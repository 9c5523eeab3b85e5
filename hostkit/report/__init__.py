# SPDX-License-Identifier: GPL-3.0-or-later
"""How a diagnosis is shown."""
