# SPDX-License-Identifier: GPL-3.0-or-later
"""A remedy of the catalogue becomes a plan that can be tried, done and undone."""

# The actions of remedies that hostkit carries out itself; `registry` has their functions.
# Named here too, because a report says `hostkit fix` and must not import the writing half.
ACTIONS = frozenset(("sysctl",))
