# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m hostkit`."""

import sys

from hostkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
