# SPDX-License-Identifier: GPL-3.0-or-later
"""containerd's configuration, as far as a kubelet depends on it."""

from typing import TypeAlias, cast

from hostkit.facts.fact import Fact, file_fact
from hostkit.value import NamedTuple

CONTAINERD_CONFIG_FILE = "/etc/containerd/config.toml"
_CRI = ("cri", "io.containerd.grpc.v1.cri")  # as `disabled_plugins` may call it
_DEPTH = 8  # plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options: 6

Toml: TypeAlias = dict[str, object]


class ContainerdConfig(NamedTuple):
    """`systemd_cgroup`: of the runtime runc, None when the file does not say.

    `imports`: other files that may say more.
    """

    cri_disabled: bool
    systemd_cgroup: bool | None = None
    imports: tuple[str, ...] = ()


def parse_containerd_config(content: str) -> ContainerdConfig:
    r"""A config.toml of any version (containerd-config.toml(5)).

    >>> parse_containerd_config('disabled_plugins = ["cri"]\n')
    ContainerdConfig(cri_disabled=True, systemd_cgroup=None, imports=())
    >>> parse_containerd_config('version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd.'
    ... 'runtimes.runc.options]\nSystemdCgroup = true\n').systemd_cgroup
    True
    """
    import tomllib  # noqa: PLC0415 - 5 ms that only a Kubernetes node is worth

    data: Toml = tomllib.loads(content)
    plugins = data.get("plugins")
    found = _systemd_cgroup(cast("Toml", plugins), 0) if isinstance(plugins, dict) else None
    return ContainerdConfig(
        cri_disabled=any(name in _CRI for name in _words(data.get("disabled_plugins"))),
        systemd_cgroup=found,
        imports=_words(data.get("imports")),
    )


def _words(value: object) -> tuple[str, ...]:
    members = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(one for one in members if isinstance(one, str))


def _systemd_cgroup(table: Toml, depth: int) -> bool | None:
    """SystemdCgroup of `runc`; the file of each version nests it in another place."""
    runc = table.get("runc")
    if isinstance(runc, dict):
        options = cast("Toml", runc).get("options")
        value = cast("Toml", options).get("SystemdCgroup") if isinstance(options, dict) else None
        if isinstance(value, bool):
            return value
    inner = [cast("Toml", one) for one in table.values() if isinstance(one, dict)]
    below = (_systemd_cgroup(one, depth + 1) for one in inner if depth < _DEPTH)
    return next((one for one in below if one is not None), None)


CONTAINERD_CONFIG: Fact[ContainerdConfig] = file_fact(
    "containerd configuration", CONTAINERD_CONFIG_FILE, parse_containerd_config
)
