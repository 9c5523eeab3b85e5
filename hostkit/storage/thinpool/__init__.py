# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools that are active.

`pool` talks to the kernel's, `notes` keeps what Docker keeps beside one, `devices` changes
both so that a crash at any moment can be resolved.
"""
