# SPDX-License-Identifier: GPL-3.0-or-later
"""How a diagnosis is shown. Values in, text out; nothing here asks a host."""
