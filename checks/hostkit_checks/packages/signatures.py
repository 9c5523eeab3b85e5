# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about this area (packages)."""

from hostkit.diagnosis.signature import Signature

SIGNATURES: tuple[Signature, ...] = ()
