# SPDX-License-Identifier: GPL-3.0-or-later
"""`--change`: a line of a Dockerfile applied to the configuration of an image.

Those that `docker import` takes: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD
STOPSIGNAL USER VOLUME WORKDIR. (Dockerfile reference; moby, builder/dockerfile)
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterable
from typing import cast

from hostkit.storage.errors import StorageError

Config = dict[str, object]

_LONGEST = 64 << 10
_SHELL = ("/bin/sh", "-c")
_PORT = r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?"
_PORTS = 65535
_SIGNAL = r"(?:SIG)?[A-Z][A-Z0-9+-]{1,11}|[1-9]\d?"
_VARIABLE = r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})"
_DURATION = r"(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+"
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NOT_ON_BUILD = ("ONBUILD", "FROM", "MAINTAINER")
_CHECK_OPTIONS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "retries": "Retries",
}


class InvalidChange(StorageError):
    """An instruction that cannot be applied."""


def apply_changes(config: Config, lines: Iterable[str]) -> Config:
    """The configuration after the instructions. Raises InvalidChange.

    >>> apply_changes({}, ['ENV A=1 B="two words"', "WORKDIR /srv"])
    {'Env': ['A=1', 'B=two words'], 'WorkingDir': '/srv'}
    """
    changed = dict(config)
    for line in lines:
        name, _, rest = line.strip().partition(" ")
        change = _CHANGES.get(name.upper())
        if change is None:
            known = " ".join(sorted(_CHANGES))
            raise InvalidChange(f"{line[:80]!r} begins with no instruction", f"one of {known}")
        if len(line) > _LONGEST or "\n" in line or "\0" in line:
            raise InvalidChange(f"{name}: one line of at most {_LONGEST >> 10} KiB")
        try:
            change(changed, rest.strip())
        except ValueError as problem:
            raise InvalidChange(f"{line[:80]!r}: {problem}") from None
    return changed


def _cmd(config: Config, rest: str) -> None:
    config["Cmd"] = _command(rest)


def _entrypoint(config: Config, rest: str) -> None:
    config["Entrypoint"] = _command(rest)


def _env(config: Config, rest: str) -> None:
    env = list(cast("list[str]", config.get("Env") or []))
    known = _environment(config)
    for name, value in _pairs(rest, known):
        env = [one for one in env if not one.startswith(f"{name}=")]
        env.append(f"{name}={value}")
    config["Env"] = env


def _label(config: Config, rest: str) -> None:
    labels = dict(cast("dict[str, str]", config.get("Labels") or {}))
    labels.update(_pairs(rest, _environment(config)))
    config["Labels"] = labels


def _workdir(config: Config, rest: str) -> None:
    path = _one_word(config, rest)
    before = str(config.get("WorkingDir") or "/")
    config["WorkingDir"] = "/" + posixpath.normpath(posixpath.join(before, path)).lstrip("/")


def _user(config: Config, rest: str) -> None:
    config["User"] = _one_word(config, rest)


def _stopsignal(config: Config, rest: str) -> None:
    word = _one_word(config, rest)
    if not re.fullmatch(_SIGNAL, word.upper()):
        raise ValueError("that is no signal")
    config["StopSignal"] = word


def _expose(config: Config, rest: str) -> None:
    ports = dict(cast("dict[str, object]", config.get("ExposedPorts") or {}))
    for word in _some_words(config, rest):
        match = re.fullmatch(_PORT, word)
        if match is None:
            raise ValueError(f"{word!r} is no port, such as 80 or 53/udp or 8000-8010")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last <= _PORTS:
            raise ValueError(f"{word!r} is no range of ports")
        ports.update({f"{port}/{match[3] or 'tcp'}": {} for port in range(first, last + 1)})
    config["ExposedPorts"] = ports


def _volume(config: Config, rest: str) -> None:
    volumes = dict(cast("dict[str, object]", config.get("Volumes") or {}))
    listed = _json_list(rest)
    for path in _some_words(config, rest) if listed is None else listed:
        if not path.strip():
            raise ValueError("a volume without a path")
        volumes[path] = {}
    config["Volumes"] = volumes


def _onbuild(config: Config, rest: str) -> None:
    if not rest:
        raise ValueError("an instruction has to follow")
    if rest.partition(" ")[0].upper() in _NOT_ON_BUILD:
        raise ValueError(f"{rest.partition(' ')[0]} cannot be a trigger")
    config["OnBuild"] = [*cast("list[str]", config.get("OnBuild") or []), rest]


def _healthcheck(config: Config, rest: str) -> None:
    check: dict[str, object] = {}
    while rest.startswith("--"):
        option, _, rest = rest.partition(" ")
        name, sign, value = option[2:].partition("=")
        if name not in _CHECK_OPTIONS or not sign:
            raise ValueError(f"{option} is not known")
        check[_CHECK_OPTIONS[name]] = int(value) if name == "retries" else _duration(value)
        rest = rest.strip()
    kind, _, command = rest.partition(" ")
    if kind.upper() == "NONE" and not command and not check:
        check["Test"] = ["NONE"]
    elif kind.upper() == "CMD" and command.strip():
        listed = _json_list(command.strip())
        check["Test"] = ["CMD-SHELL", command.strip()] if listed is None else ["CMD", *listed]
    else:
        raise ValueError("NONE or CMD has to follow")
    config["Healthcheck"] = check


_CHANGES: dict[str, Callable[[Config, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(rest: str) -> list[str]:
    """A list in JSON stands as it is; words are for a shell."""
    listed = _json_list(rest)
    if listed is not None:
        return listed
    if not rest:
        raise ValueError("a command has to follow")
    return [*_SHELL, rest]


def _json_list(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        tree: object = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tree, list):
        return None
    listed = cast("list[object]", tree)
    words = [one for one in listed if isinstance(one, str)]
    return words if len(words) == len(listed) else None


def _one_word(config: Config, rest: str) -> str:
    found = _expanded(rest, _environment(config))
    if not found:
        raise ValueError("a value has to follow")
    return found


def _some_words(config: Config, rest: str) -> list[str]:
    known = _environment(config)
    found = [word for raw in _split(rest) for word in _expanded(raw, known).split()]
    if not found:
        raise ValueError("a value has to follow")
    return found


def _pairs(rest: str, known: dict[str, str]) -> list[tuple[str, str]]:
    """`NAME=VALUE ...`, or the old form of one `NAME VALUE`."""
    raw = _split(rest)
    if raw and "=" not in raw[0]:
        name, _, value = rest.partition(" ")
        return [(name, _expanded(value.strip(), known))] if value.strip() else _no_value(name)
    pairs: list[tuple[str, str]] = []
    for word in raw:
        name, sign, value = word.partition("=")
        name = _expanded(name, known)
        if not sign or not name:
            _no_value(word)
        pairs.append((name, _expanded(value, known)))
    if not pairs:
        raise ValueError("NAME=VALUE has to follow")
    return pairs


def _no_value(word: str) -> list[tuple[str, str]]:
    raise ValueError(f"{word[:40]!r} is not NAME=VALUE")


def _split(rest: str) -> list[str]:
    """Words at blanks outside quotes, the quotes kept."""
    words: list[str] = []
    word, quote, escaped = "", "", False
    for character in rest:
        if escaped or character == "\\":
            escaped = not escaped
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            if word:
                words.append(word)
            word = ""
            continue
        word += character
    if quote:
        raise ValueError(f"a quote {quote} is not closed")
    return [*words, word] if word else words


def _expanded(raw: str, known: dict[str, str]) -> str:
    """A word without its quotes, and $NAME by what ENV has set before."""
    out: list[str] = []
    quote, at = "", 0
    while at < len(raw):
        character = raw[at]
        variable = re.compile(_VARIABLE).match(raw, at) if character == "$" else None
        if quote == "'":
            quote = "" if character == "'" else quote
            out.append("" if not quote else character)
        elif character == "\\" and at + 1 < len(raw):
            at += 1
            kept = "\\" if quote and raw[at] not in '"$\\' else ""
            out.append(kept + raw[at])
        elif variable is not None:
            out.append(_value(variable, known))
            at = variable.end() - 1
        elif character == '"' or (character == "'" and not quote):
            quote = "" if quote else character
        else:
            out.append(character)
        at += 1
    return "".join(out)


def _value(variable: re.Match[str], known: dict[str, str]) -> str:
    value = known.get(variable[1] or variable[2], "")
    if variable[3] == "-":
        return value or variable[4]
    if variable[3] == "+":
        return variable[4] if value else ""
    return value


def _environment(config: Config) -> dict[str, str]:
    listed = cast("list[str]", config.get("Env") or [])
    return {name: value for name, _, value in (one.partition("=") for one in listed)}


def _duration(word: str) -> int:
    if not re.fullmatch(_DURATION, word):
        raise ValueError(f"{word!r} is no time such as 30s")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", word)
    return sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
