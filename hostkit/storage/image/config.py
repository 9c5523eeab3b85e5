# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of an image: JSON whose digest is the image's id.

Its bytes are kept as they came; what is read of them here is for showing, running and
finding the layers. (moby, image/image.go; OCI image spec, config.md)
"""

import json
import os
import time
from collections.abc import Mapping, Sequence

from hostkit.storage import digest
from hostkit.storage.errors import StorageError
from hostkit.storage.image import fields
from hostkit.value import NamedTuple

LIMIT = 4 << 20  # bytes of a configuration or manifest; the largest seen have 100 KiB
_MACHINES = {
    "x86_64": "amd64",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
# The fields of Docker's container configuration that every image of its has.
_EMPTY: Mapping[str, object] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}


class Step(NamedTuple):
    """One line of an image's history; `empty` ones have no layer."""

    created: str
    created_by: str
    comment: str
    empty: bool


class ImageConfig(NamedTuple):
    """What an image says of itself."""

    created: str
    os: str
    architecture: str
    variant: str
    author: str
    comment: str
    docker_version: str
    config: fields.Object  # how containers are run: Cmd, Env ...
    diff_ids: tuple[str, ...]
    history: tuple[Step, ...]

    def chain(self) -> tuple[str, ...]:
        """The chain ids of the layers, the lowest first."""
        chains: list[str] = []
        for diff_id in self.diff_ids:
            chains.append(digest.chain_id(diff_id, chains[-1] if chains else None))
        return tuple(chains)


def parse_config(data: bytes) -> ImageConfig:
    """An image's configuration. Raises ValueError.

    >>> parse_config(b'{"os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}').os
    'linux'
    """
    tree = fields.load_object(data, "the configuration")
    rootfs = fields.as_object(tree.get("rootfs"), "rootfs")
    if fields.text(rootfs, "type") != "layers":
        raise ValueError("rootfs is not made of layers: this is no image of Docker 1.10 or OCI")
    try:
        diff_ids = tuple(map(digest.valid_digest, fields.texts(rootfs, "diff_ids")))
    except StorageError as problem:
        raise ValueError(str(problem)) from None
    return ImageConfig(
        created=fields.text(tree, "created"),
        os=fields.text(tree, "os") or "linux",
        architecture=fields.text(tree, "architecture"),
        variant=fields.text(tree, "variant"),
        author=fields.text(tree, "author"),
        comment=fields.text(tree, "comment"),
        docker_version=fields.text(tree, "docker_version"),
        config=fields.as_object(tree.get("config"), "config"),
        diff_ids=diff_ids,
        history=tuple(map(_step, fields.objects(tree, "history"))),
    )


def _step(line: fields.Object) -> Step:
    return Step(
        fields.text(line, "created"),
        fields.text(line, "created_by"),
        fields.text(line, "comment"),
        line.get("empty_layer") is True,
    )


def new_config(
    diff_ids: Sequence[str],
    config: Mapping[str, object],
    *,
    comment: str,
    architecture: str = "",
) -> bytes:
    """The configuration of an image made now, as Docker writes it for `docker import`."""
    created = now()
    tree = {
        "architecture": architecture or this_architecture(),
        "comment": comment,
        "config": {**_EMPTY, **config},
        "created": created,
        "history": [{"created": created, "comment": comment}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


def now() -> str:
    """The time for what is made: SOURCE_DATE_EPOCH (reproducible-builds.org), else now.

    Raises StorageError when that is set to something else than seconds.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return rfc3339(time.time_ns())
    if not given.isascii() or not given.isdigit() or len(given) > len("99999999999"):
        raise StorageError(f"SOURCE_DATE_EPOCH is {given!r}", "it is seconds since 1970")
    return rfc3339(int(given) * 1_000_000_000)


def rfc3339(ns: int) -> str:
    """A time as Go writes it.

    >>> rfc3339(1_500_000_000), rfc3339(0)
    ('1970-01-01T00:00:01.5Z', '1970-01-01T00:00:00Z')
    """
    seconds, rest = divmod(ns, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def this_architecture() -> str:
    """The machine's architecture as images name it."""
    machine = os.uname().machine
    return _MACHINES.get(machine, machine)
