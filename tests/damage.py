# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways in which a real text can be damaged, for hypothesis to choose from."""

from hypothesis import strategies as st

STRAYS = (
    "\0", "\n", "\r", "\x1c", "\x85", "\u2028", "\u3000", "\u0663", "\u00b2", "\ufffd", "9" * 400,
    "-1", "1e999", "NaN", "Infinity", "null", "[]", "{}", '""', "[" * 3000, '{"a":' * 3000,
    "x=[" * 2000, "<a>" * 2000, "a." * 3000, '"', "'", "\\", "=", "|", ":", "/", "%", "\\x",
    "\\xzz", "\\u12", "0x", "&x;", "<!DOCTYPE a>", " " * 50,
)  # fmt: skip
PLACES = st.integers(0, 1 << 16)
DAMAGE = st.tuples(
    st.sampled_from(["cut", "double", "drop", "keep", "lines", "words", "insert", "replace"]),
    PLACES,
    PLACES,
    st.sampled_from(STRAYS) | st.text(max_size=3),
)


def damaged(sample: str, what: str, one: int, other: int, stray: str) -> str:
    """The sample with one thing done to it."""
    first, last = sorted((one % (len(sample) + 1), other % (len(sample) + 1)))
    if what in ("lines", "words"):
        parts = sample.splitlines(keepends=True) if what == "lines" else sample.split(" ")
        parts.insert(first % (len(parts) or 1), parts.pop(last % len(parts)) if parts else "")
        return ("" if what == "lines" else " ").join(parts)
    return {
        "cut": sample[:last],
        "double": sample[:last] + sample[first:],
        "drop": sample[:first] + sample[last:],
        "keep": sample[first:last],
        "insert": sample[:first] + stray + sample[first:],
        "replace": sample[:first] + stray + sample[first + 1 + other % 5 :],
    }[what]
