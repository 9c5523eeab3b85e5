# SPDX-License-Identifier: GPL-3.0-or-later
"""How long hostkit takes, beside the programs a person would run instead."""
