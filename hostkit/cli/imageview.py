# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit image ls`, `inspect` and `history`: they change nothing, not even on Docker's root."""

import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

from hostkit.cli import changes, common, store
from hostkit.storage.errors import StorageError
from hostkit.storage.image.store import Image, ImageStore

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_AGES = ((365 * _DAY, "years"), (30 * _DAY, "months"), (7 * _DAY, "weeks"), (_DAY, "days"))
_SHOWN = 12
_NONE = "<none>"
_TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))"


def ls_options() -> ArgumentParser:
    """The options of `image ls`."""
    made = common.parser(
        "image ls",
        "Lists the images below a data root, the newest first. Docker's can be looked at\n"
        "while Docker runs; nothing is changed.",
        ("hostkit image ls", "hostkit image ls --root /var/lib/docker --dangling"),
    )
    made.add_argument(
        "name", metavar="NAME", nargs="?", default="", help="only images of this name"
    )
    made.add_argument("--dangling", action="store_true", help="only those without a name")
    made.add_argument("-q", "--quiet", action="store_true", help="only their ids")
    store.add_store(made)
    return made


def ls(parsed: Namespace) -> int:
    """List images."""
    with store.reading(parsed) as images:
        found = [one for one in images.images() if _wanted(one, parsed)]
        found.sort(key=lambda one: (one.config.created, one.id), reverse=True)
        damaged = len(images.ids()) - sum(1 for _ in images.images())
        if parsed.format == "json":
            tree = {
                "schema": "hostkit.images/1",
                "root": images.root,
                "driver": images.layers.driver.name,
                "images": [_summary(images, one) for one in found],
                "damaged": damaged,
            }
            changes.say_json(tree)
        elif parsed.quiet:
            for one in found:
                changes.say(one.id)
        else:
            _show_table(images, found)
    if damaged and parsed.format != "json":
        changes.complain(f"note: {damaged} images are damaged, see `hostkit storage check`")
    return 0


def inspect_options() -> ArgumentParser:
    """The options of `image inspect`."""
    made = common.parser(
        "image inspect",
        "Shows all that is known of images, as JSON like that of `docker image inspect`.",
        ("hostkit image inspect app:1",),
    )
    made.add_argument("images", metavar="IMAGE", nargs="+", help="a name, or (part of) an id")
    store.add_store(made)
    return made


def inspect(parsed: Namespace) -> int:
    """Show images."""
    with store.reading(parsed) as images:
        changes.say_json([_inspected(images, images.find(word)) for word in parsed.images])
    return 0


def history_options() -> ArgumentParser:
    """The options of `image history`."""
    made = common.parser(
        "image history",
        "Shows how an image was made, the last step first.",
        ("hostkit image history app:1",),
    )
    made.add_argument("image", metavar="IMAGE", help="a name, or (part of) an id")
    store.add_store(made)
    return made


def history(parsed: Namespace) -> int:
    """Show the steps of an image, with the sizes of their layers."""
    with store.reading(parsed) as images:
        image = images.find(parsed.image)
        steps = list(_steps(images, image))[::-1]
    if parsed.format == "json":
        changes.say_json({"schema": "hostkit.image-history/1", "id": image.id, "steps": steps})
        return 0
    rows = [
        [_age(str(step["created"])), _size(step["size"]), _words(str(step["created_by"]), step)]
        for step in steps
    ]
    _table(("created", "size", "made by"), rows)
    return 0


def _wanted(image: Image, parsed: Namespace) -> bool:
    if parsed.dangling and image.names:
        return False
    return not parsed.name or any(parsed.name in (str(one), one.name) for one in image.names)


def _show_table(images: ImageStore, found: Iterable[Image]) -> None:
    rows: list[list[str]] = []
    for one in found:
        for name in [str(name) for name in one.names if name.tag] or [_NONE]:
            size = store.size_words(images.size(one))
            rows.append([one.short, _age(one.config.created), size, name])
    _table(("id", "created", "size", "name"), rows)


def _table(headings: tuple[str, ...], rows: list[list[str]]) -> None:
    from hostkit.report.table import table

    width = common.Output().style().width if sys.stdout.isatty() else None
    common.Output().write(table(headings, rows, width))


def _summary(images: ImageStore, image: Image) -> dict[str, object]:
    return {
        "id": image.id,
        "names": [str(name) for name in image.names if name.tag],
        "digests": [str(name) for name in image.names if name.digest],
        "parent": image.parent,
        "created": image.config.created,
        "os": image.config.os,
        "architecture": image.config.architecture,
        "size": images.size(image),
        "layers": len(image.config.diff_ids),
        "containers": _containers(images, image),
    }


def _containers(images: ImageStore, image: Image) -> list[str] | None:
    """None when it cannot be read."""
    try:
        return images.users(image)
    except OSError:
        return None


def _inspected(images: ImageStore, image: Image) -> dict[str, object]:
    config = image.config
    return {
        "Id": image.id,
        "RepoTags": [str(name) for name in image.names if name.tag],
        "RepoDigests": [str(name) for name in image.names if name.digest],
        "Parent": image.parent or "",
        "Comment": config.comment,
        "Created": config.created,
        "DockerVersion": config.docker_version,
        "Author": config.author,
        "Config": config.config,
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": images.size(image),
        "GraphDriver": {"Name": images.layers.driver.name, "Data": _driver_data(images, image)},
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": images.last_tagged(image.id)},
    }


def _driver_data(images: ImageStore, image: Image) -> dict[str, str] | None:
    chain = image.config.chain()
    try:
        layer = images.layers.get(chain[-1]) if chain else None
        return dict(images.layers.driver.metadata(layer.cache_id)) if layer else None
    except (StorageError, OSError):
        return None


def _steps(images: ImageStore, image: Image) -> Iterable[dict[str, object]]:
    chain = iter(image.config.chain())
    for step in image.config.history:
        layer = None if step.empty else next(chain, None)
        yield {
            "created": step.created,
            "created_by": step.created_by,
            "comment": step.comment,
            "layer": layer,
            "size": _layer_size(images, layer),
        }
    for layer in chain:  # more layers than lines of history
        size = _layer_size(images, layer)
        yield {"created": "", "created_by": "", "comment": "", "layer": layer, "size": size}


def _layer_size(images: ImageStore, layer: str | None) -> int | None:
    if layer is None:
        return 0
    try:
        return images.layers.get(layer).size
    except StorageError:
        return None


def _size(size: object) -> str:
    return store.size_words(size) if isinstance(size, int) else "gone"


def _words(created_by: str, step: dict[str, object]) -> str:
    words = created_by.removeprefix("/bin/sh -c ").removeprefix("#(nop) ").strip()
    return words or str(step["comment"]) or "-"


def _age(created: str) -> str:
    """How long ago a time of Go's was, in words; what is none is shown as it is.

    >>> _age("")
    '-'
    """
    try:
        when = _seconds(created)
    except ValueError:
        return created[:_SHOWN] or "-"
    age = int(time.time()) - when
    for length, unit in _AGES:
        if age >= 2 * length:
            return f"{age // length} {unit} ago"
    if age >= 2 * _HOUR:
        return f"{age // _HOUR} hours ago"
    return f"{age // _MINUTE} minutes ago" if age >= 2 * _MINUTE else "just now"


def _seconds(created: str) -> int:
    """A time of RFC 3339, without its fraction. Raises ValueError."""
    import calendar

    match = re.fullmatch(_TIME, created)
    if match is None:
        raise ValueError("no time of RFC 3339")
    when = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    if match[2]:
        offset = int(match[3]) * _HOUR + int(match[4]) * _MINUTE
        when += offset if match[2] == "-" else -offset
    return when
