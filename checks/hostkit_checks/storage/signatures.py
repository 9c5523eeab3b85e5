# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about this area (storage)."""

from hostkit.diagnosis.signature import Signature

SIGNATURES: tuple[Signature, ...] = ()
