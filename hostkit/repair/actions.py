# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the remedies that hostkit can carry out itself.

Apart from `registry`, which a report need not import (15 ms) to say `hostkit fix CODE`;
a test holds the two together.
"""

ACTIONS = frozenset(("sysctl",))
