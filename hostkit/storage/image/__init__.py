# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: their names, their configuration, the store, and the archives they travel in."""
