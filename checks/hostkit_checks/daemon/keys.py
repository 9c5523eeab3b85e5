# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of daemon.json: what type each must have, and which version removed it."""

from collections.abc import Mapping
from typing import Literal

from hostkit.facts.daemonjson import Setting, Table, Value
from hostkit.value import NamedTuple

Kind = Literal["switch", "number", "text", "list", "table", "any"]


class Removed(NamedTuple):
    """`version`: the first Docker that refuses it; `instead`: what to write now."""

    version: tuple[int, ...]
    instead: str


class Trouble(NamedTuple):
    """A setting that some Docker refuses; `version` () means every one."""

    setting: Setting
    text: str
    version: tuple[int, ...] = ()


_KINDS: Mapping[Kind, str] = {
    "switch": (
        "allow-direct-routing debug disable-legacy-registry enable-secrets experimental icc init "
        "ip-forward ip-forward-no-drop ip-masq ip6tables iptables ipv6 live-restore "
        "no-new-privileges raw-logs rootless selinux-enabled signature-verification tls "
        "tlsverify userland-proxy"
    ),
    "number": (
        "cpu-rt-period cpu-rt-runtime max-concurrent-downloads max-concurrent-uploads "
        "max-download-attempts mtu network-control-plane-mtu network-diagnostic-port "
        "oom-score-adjust shutdown-timeout"
    ),
    "text": (
        "api-cors-header bip bip6 bridge bridge-accept-fwmark cgroup-parent cluster-advertise "
        "cluster-store containerd containerd-namespace containerd-plugins-namespace data-root "
        "default-cgroupns-mode default-gateway default-gateway-v6 default-ipc-mode "
        "default-runtime default-shm-size exec-root firewall-backend fixed-cidr fixed-cidr-v6 "
        "graph group host-gateway-ip http-proxy https-proxy init-path ip log-driver log-format "
        "log-level metrics-addr min-api-version no-proxy pidfile registryname seccomp-profile "
        "storage-driver swarm-default-advertise-addr tlscacert tlscert tlskey "
        "userland-proxy-path userns-remap deprecated-key-path"
    ),
    "list": (
        "add-registry allow-nondistributable-artifacts authorization-plugins block-registry "
        "cdi-spec-dirs default-address-pools dns dns-opts dns-search exec-opts "
        "host-gateway-ips hosts insecure-registries labels node-generic-resources "
        "registry-mirrors storage-opts additional-registries"
    ),
    "table": (
        "builder cluster-store-opts default-network-opts default-ulimits features log-opts "
        "nri-opts proxies runtimes"
    ),
    # The names of flags: dockerd finds the flag, and the value goes nowhere.
    "any": (
        "add-runtime authorization-plugin cluster-store-opt config-file default-address-pool "
        "default-network-opt default-ulimit dns-opt exec-opt feature help host "
        "insecure-registry label log-opt node-generic-resource registry-mirror storage-opt "
        "validate version"
    ),
}
KIND_OF: Mapping[str, Kind] = {key: kind for kind, keys in _KINDS.items() for key in keys.split()}
# Flag names whose key in the file is another; harmless to start-up, and without effect.
WITHOUT_EFFECT: Mapping[str, str] = {
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "registry-mirror": "registry-mirrors",
    "label": "labels",
    "log-opt": "log-opts",
    "storage-opt": "storage-opts",
    "exec-opt": "exec-opts",
    "dns-opt": "dns-opts",
    "default-ulimit": "default-ulimits",
    "default-address-pool": "default-address-pools",
}
REMOVED: Mapping[str, Removed] = {
    "graph": Removed((23,), 'write "data-root" with the same value'),
    "cluster-store": Removed((23,), "remove it, swarm mode took its place"),
    "cluster-advertise": Removed((23,), "remove it, swarm mode took its place"),
    "cluster-store-opts": Removed((23,), "remove it, swarm mode took its place"),
    "oom-score-adjust": Removed((26,), "set OOMScoreAdjust= in the unit"),
    # 27 and 28 have the key still and refuse it, unless a variable is set.
    "api-cors-header": Removed((27,), "use a reverse proxy"),
    "disable-legacy-registry": Removed((19, 3), "remove it, the old registries are gone"),
    **dict.fromkeys(
        (
            "add-registry",
            "additional-registries",
            "block-registry",
            "enable-secrets",
            "registryname",
            "signature-verification",
        ),
        Removed((17,), "remove it, only Red Hat's Docker 1.13 knew it"),
    ),
}
# The first version that takes a key: earlier ones refuse it (26.1.5 and 28.5.2 were seen to).
ADDED: Mapping[str, tuple[int, ...]] = {
    "allow-direct-routing": (28,),
    "bip6": (28,),
    "bridge-accept-fwmark": (29,),
    "data-root": (17, 5),
    "firewall-backend": (29,),
    "host-gateway-ips": (28,),
    "ip-forward-no-drop": (28,),
    "min-api-version": (29,),
}
_REMOVED_DRIVERS: Mapping[str, tuple[int, ...]] = {
    "aufs": (24,),
    "overlay": (24,),
    "devicemapper": (25,),
}
_SOME_LEVELS = "debug, info, warn, error or fatal"
_LOG_LEVELS = frozenset(
    ("", "trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
)
_WEB = ("https://", "http://")
_NAMES: Mapping[Kind, str] = {
    "switch": "true or false",
    "number": "a number",
    "text": "text in quotes",
    "list": "a list [...]",
    "table": "an object {...}",
}


def wrong_types(settings: tuple[Setting, ...]) -> tuple[Trouble, ...]:
    """Settings whose value is of a type that Go's decoder does not take."""
    found = [
        Trouble(one, f'"{one.key}" must be {_NAMES[kind]}')
        for one in settings
        if (kind := KIND_OF.get(one.key, "any")) != "any" and not _fits(kind, one.value)
    ]
    for one in settings:
        if one.key == "log-opts" and isinstance(one.value, Table):
            found += [
                Trouble(one, f'"{name}" in log-opts must be text in quotes')
                for name, value in one.value.items
                if not isinstance(value, str) and value is not None
            ]
    return tuple(found)


def _fits(kind: Kind, value: Value) -> bool:
    if value is None:
        return True
    if kind == "switch":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "text":
        return isinstance(value, str)
    if kind == "table":
        return isinstance(value, Table)
    return isinstance(value, tuple) and not isinstance(value, Table)


def unknown_keys(settings: tuple[Setting, ...]) -> tuple[Trouble, ...]:
    """Keys that no Docker up to 29 has; dockerd looks into tables that it does not know."""
    found: list[Trouble] = []
    for one in settings:
        known = one.key in KIND_OF and one.key != "proxies"
        if isinstance(one.value, Table) and not known:
            found += [
                Trouble(one, f'"{name}" in "{one.key}" is no key of daemon.json')
                for name, _ in one.value.items
                if name not in KIND_OF
            ]
        elif not known and one.key != "proxies":
            found.append(Trouble(one, f'"{one.key}" is no key of daemon.json'))
    return tuple(found)


def early_keys(settings: tuple[Setting, ...], version: tuple[int, ...]) -> tuple[Trouble, ...]:
    """Keys that a version does not have yet."""
    return tuple(
        Trouble(one, f'"{one.key}" came with Docker {".".join(map(str, first))}', first)
        for one in settings
        if version and version < (first := ADDED.get(one.key, ()))
    )


def removed_keys(settings: tuple[Setting, ...]) -> tuple[Trouble, ...]:
    """Keys, drivers and storage options that a later Docker refuses, with that version."""
    found: list[Trouble] = []
    for one in settings:
        gone = REMOVED.get(one.key)
        if gone is not None:
            found.append(Trouble(one, f'"{one.key}": {gone.instead}', gone.version))
        if one.key == "storage-driver" and isinstance(one.value, str):
            version = _REMOVED_DRIVERS.get(one.value)
            if version is not None:
                found.append(Trouble(one, f'the storage driver "{one.value}"', version))
        if one.key == "storage-opts" and isinstance(one.value, tuple):
            found += _storage_options(one, one.value)
    return tuple(found)


def _storage_options(setting: Setting, options: tuple[object, ...]) -> list[Trouble]:
    found: list[Trouble] = []
    for option in options:
        name = option.partition("=")[0].strip() if isinstance(option, str) else ""
        if name == "overlay2.override_kernel_check":
            found.append(Trouble(setting, f'the storage option "{name}"', (24,)))
        elif name.startswith("dm."):
            found.append(Trouble(setting, f'the storage option "{name}"', (25,)))
    return found
