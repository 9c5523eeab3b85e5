# SPDX-License-Identifier: GPL-3.0-or-later
"""A remedy of the catalogue becomes a plan that can be tried, done and undone."""
