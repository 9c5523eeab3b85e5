# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m hostkit`."""

from hostkit.cli.main import run

if __name__ == "__main__":
    run()
