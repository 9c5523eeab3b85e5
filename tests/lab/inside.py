# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest inside a guest: every report goes to a file that the pytest outside reads."""

import json
import os

import pytest

REPORTS = "HOSTKIT_LAB_REPORTS"


class Reporter:
    """Writes each report as a line; a guest that dies takes only the last one with it."""

    def __init__(self, config: pytest.Config, path: str) -> None:
        self._config = config
        self._path = path

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with open(self._path, "a") as file:
            file.write(json.dumps(data) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reporter(config, os.environ[REPORTS]))
