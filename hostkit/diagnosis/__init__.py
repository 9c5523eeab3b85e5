# SPDX-License-Identifier: GPL-3.0-or-later
"""What facts and messages mean: problems, checks, signatures, causes before consequences."""
