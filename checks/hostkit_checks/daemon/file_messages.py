# SPDX-License-Identifier: GPL-3.0-or-later
"""What podman and containerd print of configuration files that they refuse."""

from hostkit.diagnosis.finding import Severity
from hostkit.diagnosis.signature import Signature

_PODMAN = "podman-config-invalid"
_CONTAINERD = "containerd-config-invalid"

FILES: tuple[Signature, ...] = (
    # podman, buildah, skopeo: containers/common config.New, all versions.
    Signature(
        problem=_PODMAN,
        anchors=("decode configuration ",),
        pattern=r"decode configuration (?P<file>\S*containers\S*?\.conf): (?!open )",
        summary="podman cannot read {file}",
        of_host=True,
    ),
    # containers/storage: it goes on with its defaults. "parse" until 1.38, "read" since.
    Signature(
        problem=_PODMAN,
        anchors=("storage.conf",),
        pattern=r"Failed to (?:parse|read) (?P<file>/\S*storage\.conf):? (?:toml: |Near line )",
        summary="podman cannot read {file} and uses its own defaults",
        of_host=True,
    ),
    # containers/storage, overlay driver.
    Signature(
        problem=_PODMAN,
        anchors=("overlay: can't stat program",),
        pattern=r"can't stat program [\\\"]*(?P<program>/[^\s\\\":]+)",
        summary="mount_program in storage.conf names {program}, which is not there",
        of_host=True,
    ),
    # podman 5 and later, built without CNI.
    Signature(
        problem=_PODMAN,
        anchors=("cni support is not enabled in this build, only netavark",),
        summary="the network backend is cni, and this podman has only netavark",
        of_host=True,
    ),
    # podman of all versions: the runtime that containers.conf names, or the default one.
    Signature(
        problem=_PODMAN,
        anchors=("default OCI runtime", "not found: invalid argument"),
        pattern=r"default OCI runtime [\\\"]*(?P<runtime>[^\s\\\"]+?)[\\\"]* not found",
        summary="podman does not find its runtime {runtime}",
        reach=160,
        of_host=True,
    ),
    # containerd until 1.7 of any fault, later of values alone.
    Signature(
        problem=_CONTAINERD,
        anchors=("failed to load TOML",),
        pattern=r"failed to load TOML(?: from)?:? (?P<file>/\S+?\.toml)",
        summary="containerd cannot read {file}",
        of_host=True,
    ),
    # containerd 2.0 and later; the line before it names the file.
    Signature(
        problem=_CONTAINERD,
        anchors=("failed to unmarshal TOML",),
        pattern=r"failed to unmarshal TOML at row (?P<row>\d+) column \d+",
        summary="containerd cannot read its configuration: row {row}",
        of_host=True,
    ),
    Signature(
        problem=_CONTAINERD,
        anchors=("failed to unmarshal TOML: ",),
        summary="containerd cannot read its configuration",
        of_host=True,
    ),
    # containerd 2.2 and later, of a file that another imports.
    Signature(
        problem=_CONTAINERD,
        anchors=("drop-in config version", "higher than root config version"),
        summary="a file that containerd's configuration imports has a higher version than it",
        severity=Severity.ERROR,
        reach=120,
        of_host=True,
    ),
)
