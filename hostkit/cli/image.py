# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit image ACTION`: images taken in, shown, named, written out and taken away.

Exit codes: 0 done; 2 a wrong word, no such image, or an archive that cannot be used; 5 refused
(used by a container, an engine is running), nothing is changed.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from hostkit.cli import archivefile, changes, common, imageview, store
from hostkit.cli.store import ActionEntry
from hostkit.storage.image import load as loading
from hostkit.storage.image import reference, save
from hostkit.storage.image.archive import Archive
from hostkit.storage.image.load import Loaded
from hostkit.storage.image.save import Wanted
from hostkit.storage.image.store import Image, ImageStore
from hostkit.storage.image.streams import Counted

EXAMPLES = (
    "hostkit image ls",
    "hostkit image load -i app.tar.gz",
    "hostkit image ls --root /var/lib/docker",
)
DESCRIPTION = """Images in a data root laid out as Docker's: takes them in, shows them, gives
them names, writes them out as archives."""


def options() -> ArgumentParser:
    """The options of this command."""
    return store.command("image", DESCRIPTION, ACTIONS, EXAMPLES)


def run(arguments: Sequence[str]) -> int:
    """Run the action that the first word names."""
    return store.dispatch(ACTIONS, options, arguments)


# import


def _import_options() -> ArgumentParser:
    made = common.parser(
        "image import",
        "Makes an image of one layer from a tar of files (gzip, zstd, xz, bzip2 or plain).\n"
        "With SOURCE_DATE_EPOCH set, the same tar gives the same image.",
        (
            "hostkit image import rootfs.tar.xz base:1",
            "tar -C rootfs -c . | hostkit image import - base:1 --change 'CMD [\"sh\"]'",
        ),
    )
    made.add_argument("tar", metavar="FILE", help="the tar, - for standard input")
    made.add_argument("name", metavar="NAME", nargs="?", default="", help="such as app:1.2")
    made.add_argument(
        "--change",
        metavar="LINE",
        action="append",
        default=[],
        help="CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR",
    )
    made.add_argument("--message", metavar="TEXT", default="", help="a comment for the history")
    made.add_argument("--architecture", metavar="NAME", default="", help="default: this machine's")
    store.add_store(made)
    return made


def _import(parsed: Namespace) -> int:
    names = (reference.parse(parsed.name),) if parsed.name else ()
    comment = parsed.message or f"Imported from {parsed.tar}"
    with (
        archivefile.source(parsed.tar) as (descriptor, size),
        store.changing(parsed) as images,
        store.progress("importing", size) as tell,
        open(descriptor, "rb", buffering=0, closefd=False) as file,
    ):
        loaded = loading.import_tar(
            images,
            Counted(file, tell),
            names,
            changes=parsed.change,
            comment=comment,
            architecture=parsed.architecture,
        )
    return _say_loaded(parsed, [loaded])


# load


def _load_options() -> ArgumentParser:
    made = common.parser(
        "image load",
        "Takes in the images of an archive: of `docker save`, old or new, of podman or skopeo,\n"
        "an OCI layout as a tar or a folder; compressed or not. Everything is verified.",
        (
            "hostkit image load -i app.tar.gz",
            "ssh web07 docker save app:1 | hostkit image load",
        ),
    )
    made.add_argument("-i", "--input", metavar="PATH", default="-", help="default: standard input")
    store.add_store(made)
    return made


def _load(parsed: Namespace) -> int:
    if os.path.isdir(parsed.input):
        with store.changing(parsed) as images, loading.opened_folder(parsed.input) as archive:
            return _load_from(parsed, images, archive, 0)
    with archivefile.source(parsed.input) as (descriptor, size), store.changing(parsed) as images:
        with store.progress("reading", size) as tell:
            opened = loading.opened_tar(descriptor, images.root, tell)
        with opened as archive:
            return _load_from(parsed, images, archive, size)


def _load_from(parsed: Namespace, images: ImageStore, archive: Archive, size: int) -> int:
    with store.progress("loading", size) as tell:
        loaded = loading.load(images, archive, tell)
    return _say_loaded(parsed, loaded)


def _say_loaded(parsed: Namespace, loaded: Sequence[Loaded]) -> int:
    if parsed.format == "json":
        listed = [
            {
                "id": one.id,
                "names": list(map(str, one.names)),
                "moved": list(map(str, one.moved)),
                "note": one.note,
            }
            for one in loaded
        ]
        changes.say_json({"schema": "hostkit.image-loaded/1", "images": listed})
        return 0
    for one in loaded:
        for name in one.moved:
            changes.say(f"{name} was another image's name; that one keeps its id")
        if one.note:
            changes.complain(f"note: {one.names[0] if one.names else one.id}: {one.note}")
        changes.say(" ".join((one.id, *map(str, one.names))))
    return 0


# save and export


def _save_options() -> ArgumentParser:
    made = common.parser(
        "image save",
        "Writes images as one archive, which docker (since 1.10), podman and skopeo read.",
        (
            "hostkit image save app:1 db:3 -o both.tar",
            "hostkit image save app:1 | ssh web07 docker load",
            "hostkit image save app:1 --kind oci -o app.tar",
        ),
    )
    made.add_argument("images", metavar="IMAGE", nargs="+", help="a name, or (part of) an id")
    made.add_argument("--kind", choices=("docker", "oci"), default="docker", help="of the archive")
    _add_target(made)
    store.add_store(made)
    return made


def _save(parsed: Namespace) -> int:
    write = save.save_oci if parsed.kind == "oci" else save.save_docker
    with store.saving(parsed) as images:
        wanted = _wanted(images, parsed.images)
        total = sum(images.size(one.image) for one in wanted)
        with archivefile.sink(parsed.output) as sink, store.progress("saving", total) as tell:
            write(images, wanted, sink, tell)
    return _say_saved(parsed, [one.image for one in wanted])


def _export_options() -> ArgumentParser:
    made = common.parser(
        "image export",
        "Writes the files of an image, all layers laid over each other, as one tar.",
        ("hostkit image export app:1 -o rootfs.tar", "hostkit image export app:1 | tar -t"),
    )
    made.add_argument("image", metavar="IMAGE", help="a name, or (part of) an id")
    _add_target(made)
    store.add_store(made)
    return made


def _export(parsed: Namespace) -> int:
    with store.saving(parsed) as images:
        image = images.find(parsed.image)
        with (
            archivefile.sink(parsed.output) as sink,
            store.progress("exporting", images.size(image)) as tell,
        ):
            save.export(images, image, archivefile.Telling(sink, tell))
    return _say_saved(parsed, [image])


def _add_target(made: ArgumentParser) -> None:
    made.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="default: standard output"
    )


def _say_saved(parsed: Namespace, images: Sequence[Image]) -> int:
    """Standard output may be the archive itself, so only what went to a file is told there."""
    if parsed.output == "-":
        return 0
    size = os.stat(parsed.output).st_size
    if parsed.format == "json":
        ids = [image.id for image in images]
        tree = {"schema": "hostkit.image-saved/1", "file": parsed.output, "bytes": size}
        changes.say_json({**tree, "images": ids})
    else:
        changes.say(f"wrote {parsed.output}, {store.size_words(size)}")
    return 0


def _wanted(images: ImageStore, words: Sequence[str]) -> list[Wanted]:
    """An image that was named keeps that name; one that was named by its id, all names."""
    found: dict[str, Wanted] = {}
    for word in words:
        image = images.find(word)
        try:
            named = [one for one in image.names if one == reference.parse(word)]
        except reference.InvalidReference:
            named = []
        before = found[image.id].names if image.id in found else ()
        names = tuple(dict.fromkeys((*before, *(named or image.names))))
        found[image.id] = Wanted(image, names)
    return list(found.values())


# tag, rm, gc


def _tag_options() -> ArgumentParser:
    made = common.parser(
        "image tag", "Gives an image more names.", ("hostkit image tag app:1 app:stable",)
    )
    made.add_argument("image", metavar="IMAGE", help="a name, or (part of) an id")
    made.add_argument("names", metavar="NAME", nargs="+")
    store.add_store(made)
    return made


def _tag(parsed: Namespace) -> int:
    names = list(map(reference.parse, parsed.names))
    with store.changing(parsed) as images:
        image = images.find(parsed.image)
        moved = images.tag(image.id, names)
    return _say_loaded(parsed, [Loaded(image.id, tuple(names), tuple(moved))])


def _rm_options() -> ArgumentParser:
    made = common.parser(
        "image rm",
        "Takes away a name; with its last name the image, and the layers only it needed.",
        ("hostkit image rm app:1", "hostkit image rm 3f9c2b71 --force"),
    )
    made.add_argument("images", metavar="IMAGE", nargs="+", help="a name, or (part of) an id")
    made.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="also what containers or other images use, which keep the layers they need",
    )
    store.add_store(made)
    return made


def _rm(parsed: Namespace) -> int:
    done: dict[str, list[str]] = {"untagged": [], "images": [], "layers": []}
    kept = ""
    with store.changing(parsed) as images:
        for word in parsed.images:
            removed = images.remove(word, force=parsed.force)
            for key, names in zip(done, removed, strict=False):
                done[key].extend(names)
            kept = removed.kept or kept
            if parsed.format != "json":
                for name in removed.untagged:
                    changes.say(f"untagged {name}")
                for image in removed.images:
                    changes.say(f"removed {image}")
    if parsed.format == "json":
        changes.say_json({"schema": "hostkit.image-removed/1", **done, "kept": kept})
    elif kept:
        changes.complain(f"note: layers are kept until `hostkit image gc`: {kept}")
    return 0


def _gc_options() -> ArgumentParser:
    made = common.parser(
        "image gc",
        "Takes away layers that no image and no container needs, and what was left when\n"
        "something was killed half way. Waits until nobody adds layers.",
        ("hostkit image gc",),
    )
    store.add_store(made)
    return made


def _gc(parsed: Namespace) -> int:
    with store.changing(parsed) as images:
        layers, leftovers = images.collect()
        images.layers.driver.cleanup()
    if parsed.format == "json":
        tree = {"schema": "hostkit.image-collected/1", "layers": layers, "leftovers": leftovers}
        changes.say_json(tree)
    else:
        changes.say(f"{len(layers)} layers and {len(leftovers)} leftovers were taken away")
    return 0


ACTIONS = {
    "import": ActionEntry(_import_options, _import, "make an image of a tar of files"),
    "load": ActionEntry(_load_options, _load, "take in the images of an archive"),
    "save": ActionEntry(_save_options, _save, "write images as an archive"),
    "export": ActionEntry(_export_options, _export, "write the files of an image as a tar"),
    "ls": ActionEntry(imageview.ls_options, imageview.ls, "list images"),
    "inspect": ActionEntry(imageview.inspect_options, imageview.inspect, "show all of an image"),
    "history": ActionEntry(imageview.history_options, imageview.history, "how it was made"),
    "tag": ActionEntry(_tag_options, _tag, "give an image more names"),
    "rm": ActionEntry(_rm_options, _rm, "take away a name, or an image"),
    "gc": ActionEntry(_gc_options, _gc, "take away what nothing needs"),
}
