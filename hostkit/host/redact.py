# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets taken out of what a snapshot keeps; what a diagnosis needs stays as it was.

The shape stays: a URL still parses and JSON stays JSON, so that a fact read from a
snapshot says the same as on the host, but for the secret. Every pattern is bounded and
takes time in proportion to the text.
"""

import re
from collections.abc import Callable
from typing import Any, cast

from hostkit.value import NamedTuple

MARKER = b"REDACTED"
# Compressed or compiled: nothing to find, and a chance hit would break it.
_BINARY = (b"\x1f\x8b", b"\x7fELF", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")
# Kernel options are named like secrets (CONFIG_MODULE_SIG_KEY=...) and are none.
_NEVER = ("/boot/config-", "/proc/config", "/lib/modules/", "/usr/lib/modules/")

_GAP = rb"[ \t]{0,8}"
_QUOTE = rb"\\{0,8}[\"']"  # also inside the quotes of a log line
_BARE = rb"[^\s\x00\"',;&\\]{1,4096}"
_QUOTED = rb"[^\x00\"'\\\n]{1,65536}"
# Flags are no secrets, and what was taken out is not taken out again.
_VALUE = rb"(?!(?:true|false|yes|no|on|off|null|none|[01]|REDACTED)\b)"
# A name that ends in file, path or dir says where a secret lies, not what it is.
_NAME = (
    rb"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    rb"|x-amz-signature|x-amz-credential)[\w.-]{0,40}(?<!file)(?<!path)(?<!dir)"
)
_LOGIN = rb"(?!REDACTED:)[^\s\x00/\"'@:]{1,256}:[^\s\x00/\"'@]{1,256}@"


class _Rule(NamedTuple):
    """`words`, lower case: one must be there, else the slow pattern is not tried."""

    words: tuple[bytes, ...]
    pattern: "re.Pattern[bytes]"
    replacement: bytes


def _rule(
    words: tuple[bytes, ...],
    head: bytes,
    secret: bytes,
    *,
    flags: int = re.IGNORECASE,
    replacement: bytes = MARKER,
) -> _Rule:
    """A secret after a head that stays."""
    return _Rule(words, re.compile(b"(" + head + b")" + secret, flags), rb"\1" + replacement)


_WORDS = (b"pass", b"secret", b"token", b"api", b"access", b"private", b"x-amz-")
_TWO = MARKER + b":" + MARKER + b"@"
_RULES = (
    # scheme://user:password@host and scheme://token@host
    _rule(
        (b"://",),
        rb"[a-z][a-z0-9+.-]{1,20}://",
        rb"(?!REDACTED:)[^\s\x00/\"'<>\\]{1,512}@",
        replacement=_TWO,
    ),
    # HTTP_PROXY=user:password@host, without a scheme
    _rule(
        (b"_proxy",),
        rb"_proxy[\"']?" + _GAP + rb"[=:]" + _GAP + rb"[\"']?",
        _LOGIN,
        replacement=_TWO,
    ),
    # Authorization: Basic ..., X-Registry-Auth: ...
    _rule(
        (b"authorization",),
        rb"authorization[\"']?" + _GAP + rb"[:=]" + _GAP + rb"\[?[\"']?"
        rb"(?:basic|bearer|digest)[ \t]{1,8}",
        _VALUE + _BARE,
    ),
    _rule(
        (b"x-registry-",),
        rb"x-registry-(?:auth|config)[\"']?" + _GAP + rb"[:=]" + _GAP + rb"[\"']?",
        _VALUE + _BARE,
    ),
    # "splunk-token": "...", and the auths of docker's config.json
    _rule(_WORDS, _NAME + _QUOTE + rb"\s{0,8}:\s{0,8}" + _QUOTE, _VALUE + _QUOTED),
    _rule((b"auth",), _QUOTE + rb"auth" + _QUOTE + rb"\s{0,8}:\s{0,8}" + _QUOTE, _VALUE + _QUOTED),
    # auth = "..." in containerd's config.toml
    _rule(
        (b"auth",),
        rb"^[ \t]{0,64}auth" + _GAP + rb"=" + _GAP + rb"\"",
        _VALUE + _QUOTED,
        flags=re.MULTILINE | re.IGNORECASE,
    ),
    # Environment="DB_PASSWORD=two words", password="two words"
    _rule(_WORDS, rb"\"[\w.-]{0,60}?" + _NAME + rb"=", _VALUE + rb"[^\x00\"\\\n]{1,4096}(?=\")"),
    _rule(_WORDS, _NAME + _GAP + rb"=" + _GAP + rb"\\{0,8}\"", _VALUE + _QUOTED),
    # DB_PASSWORD=..., --password=..., X-Amz-Signature=...
    _rule(_WORDS, _NAME + _GAP + rb"=" + _GAP + rb"'?", _VALUE + _BARE),
    # API_KEY=... in an environment: upper case only, for gpgkey= is no secret
    _rule(
        (b"_key=",), rb"\b[A-Z][A-Z0-9_]{0,60}_KEY=\"?", _VALUE + rb"(?!/)" + _BARE, flags=re.ASCII
    ),
    # --password ... on a command line, `password: ...` in YAML
    _rule(
        (b"--",),
        rb"--(?:password|passphrase|secret|token)[ \t]{1,8}",
        rb"(?![-=])" + _VALUE + _BARE,
    ),
    _rule(
        _WORDS,
        rb"^[ \t]{0,64}(?:- )?(?:\w{1,40}_)?(?:password|secret|token|api_key):[ \t]{1,8}\"?",
        _VALUE + _BARE + rb"(?=\"?" + _GAP + rb"$)",
        flags=re.MULTILINE | re.IGNORECASE,
    ),
    _rule(
        (b"private key",),
        rb"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----",
        rb"(?!\nREDACTED)(?:[^-]|-(?!----)){1,65536}",
        replacement=b"\n" + MARKER + b"\n",
    ),
)


def redact(source: str, data: bytes) -> tuple[bytes, int]:
    r"""What a file or command said without secrets, and how many were taken out.

    >>> redact("/etc/x", b"HTTP_PROXY=http://me:pa@ss@proxy:3128/\nDB_PASSWORD=x y\n")
    (b'HTTP_PROXY=http://REDACTED:REDACTED@proxy:3128/\nDB_PASSWORD=REDACTED y\n', 2)
    """
    if source.startswith(_NEVER) or data.startswith(_BINARY):
        return data, 0
    total = 0
    lower = data.lower()
    for rule in _RULES:
        if any(word in lower for word in rule.words):
            data, count = rule.pattern.subn(rule.replacement, data)
            total += count
    return data, total


def redact_text(source: str, words: str) -> tuple[str, int]:
    """The same for text."""
    data, count = redact(source, words.encode("utf-8", "surrogateescape"))
    return (data.decode("utf-8", "surrogateescape"), count) if count else (words, 0)


def redact_json(source: str, value: Any) -> tuple[Any, int]:
    """The same for every string of a plain JSON value."""
    if isinstance(value, str):
        return redact_text(source, value)
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return _each(source, table.values(), lambda found: dict(zip(table, found, strict=True)))
    if isinstance(value, list | tuple):
        return _each(source, cast("list[Any]", value), list)
    return value, 0


def _each(source: str, values: Any, build: Callable[[list[Any]], Any]) -> tuple[Any, int]:
    done = [redact_json(source, value) for value in values]
    return build([value for value, _ in done]), sum(count for _, count in done)
