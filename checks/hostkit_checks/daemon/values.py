# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that dockerd refuses to start with, though their keys and types are right.

Each rule was seen with real dockerd 26.1.5 and 28.5.2 (tests/live/test_upgrades.py).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from hostkit.facts.daemonconfig import SYSTEMD_CGROUPS_SINCE, DaemonConfig
from hostkit.facts.daemonjson import Setting, Table, Value
from hostkit.facts.routes import Network
from hostkit.value import NamedTuple

Version = tuple[int, ...]
# Options that a log driver of dockerd's own takes; of others, plug-ins too, nothing is known.
_COMMON_LOG = ("mode", "max-buffer-size", "cache-disabled", "cache-max-file", "cache-max-size",
               "cache-compress")  # fmt: skip
_LABELS = ("labels", "labels-regex", "env", "env-regex", "tag")
_LOG_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "json-file": ("max-file", "max-size", "compress", *_LABELS),
    "local": ("max-file", "max-size", "compress"),
    "journald": _LABELS,
}
_LOG_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
_PROTOCOLS = ("tcp", "unix", "fd", "npipe", "vsock")
_SIZE = r"\d+(\.\d+)? ?([kmgtp]?i?b?)"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?"
_DOMAIN = rf"\.|\.?{_LABEL}(?:\.{_LABEL})*\.?"


class Refused(NamedTuple):
    """A setting, and why dockerd does not take it: from `since` on, and below `before`."""

    setting: Setting
    text: str
    since: Version = ()
    before: Version = ()


def refused_values(
    config: DaemonConfig, version: Version, *, systemd_v2: bool = False
) -> tuple[Refused, ...]:
    """What this configuration, flags and file together, keeps a Docker version from starting.

    `systemd_v2`: the host has cgroup v2 and systemd, which changes a default.
    """
    found = [*_single(config), *_together(config), *_cgroup_parent(config, systemd_v2=systemd_v2)]
    return tuple(
        one for one in found if version >= one.since and not (one.before and version >= one.before)
    )


def _single(config: DaemonConfig) -> Iterator[Refused]:
    """Faults that one setting has by itself."""
    for setting in (*config.flags, *config.file):
        rule = _RULES.get(setting.key)
        if rule is not None:
            for text in rule.faults(_words(setting.value)):
                yield Refused(setting, f'"{setting.key}": {text}', rule.since)


def _words(value: Value) -> tuple[Value, ...]:
    if isinstance(value, Table):
        return (value,)
    return value if isinstance(value, tuple) else (value,)


class _Rule(NamedTuple):
    faults: Callable[[tuple[Value, ...]], Iterable[str]]
    since: Version = ()


def _each(fault: Callable[[str], str]) -> Callable[[tuple[Value, ...]], Iterator[str]]:
    """A rule for every text of a setting."""

    def judge(values: tuple[Value, ...]) -> Iterator[str]:
        yield from filter(None, (fault(one) for one in values if isinstance(one, str)))

    return judge


def _one_of(*allowed: str) -> Callable[[tuple[Value, ...]], Iterator[str]]:
    words = ", ".join(allowed)
    return _each(lambda word: "" if word in allowed else f"{word!r} is none of {words}")


def _at_least_zero(values: tuple[Value, ...]) -> Iterator[str]:
    for one in values:
        if isinstance(one, int) and one < 0:
            yield f"{one} is less than 0"


def _labels(values: tuple[Value, ...]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for word in values:
        if not isinstance(word, str):
            continue
        key, equals, value = word.partition("=")
        if not equals or not key:
            yield f"{word!r} is not KEY=VALUE"
        elif seen.setdefault(key, value) != value:
            yield f"{key} is both {seen[key]!r} and {value!r}"


def _address(word: str) -> str:
    if ":" in word:
        good = re.fullmatch(r"[0-9a-fA-F:.]{2,45}(%[\w.]+)?", word) is not None
    else:
        good = _is_network(word) and "/" not in word
    return "" if good or word == "host-gateway" else f"{word!r} is not an IP address"


def _is_network(word: str) -> bool:
    try:
        Network.parse(word)
    except ValueError:
        return False
    return True


def _cidr(word: str) -> str:
    return "" if "/" in word and _is_network(word) else f"{word!r} is not ADDRESS/LENGTH"


def _mirror(word: str) -> str:
    scheme, separator, rest = word.partition("://")
    if not separator or scheme not in ("http", "https"):
        return f"{word!r} does not begin with http:// or https://"
    if "?" in rest or "#" in rest or "@" in rest:
        return f"{word!r} has more in it than a host and a path"
    return ""


def _host(word: str) -> str:
    protocol, separator, _ = word.partition("://")
    good = not separator or protocol in _PROTOCOLS
    return "" if good else f"{word!r} has a protocol other than {', '.join(_PROTOCOLS)}"


def _search(word: str) -> str:
    good = len(word) <= 255 and re.fullmatch(_DOMAIN, word)  # noqa: PLR2004 - of a DNS name
    return "" if good else f"{word!r} is not a domain"


def _size(word: str) -> str:
    return "" if re.fullmatch(_SIZE, word.lower()) else f"{word!r} is not a size such as 64M"


def _absolute(word: str) -> str:
    return "" if word.startswith("/") else f"{word!r} is not an absolute path"


def _insecure(word: str) -> str:
    rest = word.partition("://")[2] or word
    if "/" not in rest or _is_network(rest) or ":" in rest.partition("/")[0]:
        return ""  # a CIDR is allowed, of IPv6 too
    return f"{word!r} has more in it than a host and a port"


def _has_port(word: str) -> str:
    return "" if word.rpartition(":")[2].isdecimal() else f"{word!r} has no port"


def _ipv6_cidr(word: str) -> str:
    address, slash, length = word.partition("/")
    good = slash and ":" in address and length.isdecimal() and int(length[:4]) <= 128  # noqa: PLR2004 - bits of an address
    return "" if good else f"{word!r} is not an IPv6 network"


def _exec_option(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals:
        return f"{word!r} is not KEY=VALUE"
    if key == "native.cgroupdriver" and value not in ("systemd", "cgroupfs"):
        return f"{value!r} is no cgroup driver: systemd or cgroupfs"
    return ""


def _pools(values: tuple[Value, ...]) -> Iterator[str]:
    for one in values:
        if not isinstance(one, Table):
            continue
        base, size = one.get("base"), one.get("size")
        if not isinstance(size, int) or size <= 0:
            yield f"{base} has no size"
        elif isinstance(base, str) and ":" not in base and _cidr(base):
            yield _cidr(base)
        elif isinstance(base, str) and ":" not in base and size < Network.parse(base).length:
            yield f"a network of /{size} does not fit into {base}"


_NOT_NEGATIVE = _Rule(_at_least_zero)
_IP = _Rule(_each(_address))
_RULES: Mapping[str, _Rule] = {
    "bip": _Rule(_each(_cidr)),
    "default-address-pools": _Rule(_pools, (18, 9)),
    "default-cgroupns-mode": _Rule(_one_of("host", "private")),
    "default-gateway": _IP,
    "default-gateway-v6": _IP,
    "default-ipc-mode": _Rule(_one_of("shareable", "private")),
    "default-shm-size": _Rule(_each(_size)),
    "dns": _IP,
    "dns-search": _Rule(_each(_search)),
    "exec-opts": _Rule(_each(_exec_option)),
    "fixed-cidr": _Rule(_each(_cidr)),
    "fixed-cidr-v6": _Rule(_each(_ipv6_cidr)),
    "firewall-backend": _Rule(_one_of("iptables", "nftables"), (29,)),
    "hosts": _Rule(_each(_host)),
    "insecure-registries": _Rule(_each(_insecure), (26,)),
    "ip": _IP,
    # Up to 17.x a warning.
    "labels": _Rule(_labels, (18,)),
    "log-format": _Rule(_one_of("text", "json"), (24,)),
    "log-level": _Rule(_each(lambda w: "" if w.lower() in _LOG_LEVELS else f"no level is {w!r}")),
    "max-concurrent-downloads": _NOT_NEGATIVE,
    "max-concurrent-uploads": _NOT_NEGATIVE,
    "max-download-attempts": _NOT_NEGATIVE,
    "metrics-addr": _Rule(_each(_has_port), (17, 6)),
    "mtu": _Rule(_at_least_zero, (23,)),
    "registry-mirrors": _Rule(_each(_mirror)),
    "userland-proxy-path": _Rule(_each(_absolute), (26,)),
}


def _together(config: DaemonConfig) -> Iterator[Refused]:
    """Settings that exclude or need each other."""
    bridge, bip = config.get("bridge"), config.get("bip")
    if bip is not None and bridge is not None and bridge.value not in ("", "none"):
        yield Refused(bip, '"bip" is for the bridge that dockerd makes, and "bridge" names another')
    icc = config.get("icc")
    if icc is not None and icc.value is False and not config.switch("iptables", True):
        yield Refused(
            icc, '"icc": false is carried out by the rules that "iptables": false forbids'
        )
    runtimes = config.get("runtimes")
    if runtimes is not None and isinstance(runtimes.value, Table) and runtimes.value.get("runc"):
        yield Refused(runtimes, '"runtimes": the name runc is dockerd\'s own')
    runtime = config.get("default-runtime")
    if runtime is not None and not _has_runtime(config, runtime.value):
        yield Refused(runtime, f'"default-runtime": "runtimes" has no {runtime.value!r}')
    ipv6 = config.get("ipv6")
    if ipv6 is not None and ipv6.value is True and not config.text("fixed-cidr-v6"):
        # 27 takes a network from its own address pools.
        yield Refused(ipv6, '"ipv6": true needs "fixed-cidr-v6" before Docker 27', before=(27,))
    yield from _tls(config)
    yield from _log_options(config)


def _cgroup_parent(config: DaemonConfig, *, systemd_v2: bool) -> Iterator[Refused]:
    """Systemd has slices and no paths; where nobody chose it, it may be the default."""
    parent, driver = config.get("cgroup-parent"), config.cgroup_driver
    if parent is None or not parent.value or str(parent.value).endswith(".slice"):
        return
    if driver == "systemd":
        yield Refused(parent, '"cgroup-parent": systemd takes only names that end in .slice')
    elif not driver and systemd_v2:
        text = '"cgroup-parent": systemd, the default on cgroup v2, takes only .slice names'
        yield Refused(parent, text, SYSTEMD_CGROUPS_SINCE)


def _tls(config: DaemonConfig) -> Iterator[Refused]:
    """Without a certificate and its key there is no TLS; which are looked for differs."""
    for key in ("tlsverify", "tls"):
        setting = config.get(key)
        if setting is not None and setting.value is True:
            absent = [name for name in ("tlscert", "tlskey") if not config.text(name)]
            if absent:
                yield Refused(setting, f'"{key}": true without {" and ".join(absent)}', (26,))
            return


def _has_runtime(config: DaemonConfig, name: Value) -> bool:
    table = config.get("runtimes")
    # dockerd takes the names of containerd's own shims too.
    own = not name or name in ("runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux")
    if own or (isinstance(name, str) and (name.startswith(("io.containerd.", "/")))):
        return True
    if table is None or not isinstance(table.value, Table):
        # A flag --add-runtime is a word, `name=path`.
        words = config.words("runtimes")
        return any(word.partition("=")[0] == name for word in words)
    return any(key == name for key, _ in table.value.items)


def _log_options(config: DaemonConfig) -> Iterator[Refused]:
    driver = config.text("log-driver", "json-file")
    options = config.get("log-opts")
    allowed = _LOG_OPTIONS.get(driver)
    if options is None or allowed is None:
        return
    if isinstance(options.value, Table):
        names = [key for key, _ in options.value.items]
    else:
        names = [word.partition("=")[0] for word in config.words("log-opts")]
    for name in names:
        if name not in (*allowed, *_COMMON_LOG):
            yield Refused(options, f'"log-opts": the log driver {driver} has no {name!r}')
