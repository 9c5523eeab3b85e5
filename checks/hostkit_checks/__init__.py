# SPDX-License-Identifier: GPL-3.0-or-later
"""Our checks, a package an area; each is a plug-in like any third party's."""
