# SPDX-License-Identifier: GPL-3.0-or-later
"""Device mapper: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "devicemapper", "Device mapper", __name__)
