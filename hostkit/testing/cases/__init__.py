# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases, a class a subject; `hostkit.testing.conformance` has them all."""
