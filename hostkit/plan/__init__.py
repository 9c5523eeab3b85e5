# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps, plans, and the journal that lets them be finished or undone."""
