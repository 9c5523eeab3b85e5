# SPDX-License-Identifier: GPL-3.0-or-later
"""Our storage drivers; each is a plug-in like any third party's."""
