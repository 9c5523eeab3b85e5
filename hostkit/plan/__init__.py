# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that can be tried, done, cut off anywhere, finished and taken back exactly.

A new kind of change is one class (`step.Step` is its contract, hostkit/system/file.py an
example), named in the `Kinds` that the engine is handed. What a run leaves behind:

    planned -> nothing done | cut off -> applied -> undo cut off -> undone

`cut off` goes either way, `undo cut off` only back. A step's intent is on disk before it is
begun and its outcome after it, so whoever comes next knows what may be half done.
"""
