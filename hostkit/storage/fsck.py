# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a data root: names, images, layers and the driver, held against each other.

A check changes nothing. `repair` mends what can be mended without losing anything: what is
damaged beyond use is taken out of the way, so that loading the image again makes it whole.
"""

import os
import re
from collections.abc import Callable, Iterator

from hostkit.storage import deep
from hostkit.storage.driver import Issue, State
from hostkit.storage.errors import Damaged, NoSuchLayer, Unsupported
from hostkit.storage.image.store import ImageStore
from hostkit.storage.layerdb import StoredLayer
from hostkit.storage.layerstore import LayerStore
from hostkit.storage.mounting import MountingDriver

Tell = Callable[[int], object]
_HEX = r"[0-9a-f]{64}"
_SHORT = 19  # sha256: and 12 digits
_AGAIN = "load its image again after this"


def check(store: ImageStore, *, content: bool, tell: Tell) -> Iterator[Issue]:
    """Everything that is wrong. `content`: also read every layer, which takes long.

    What cannot be looked at here is an issue too: `unchecked`.
    """
    yield from _images(store)
    whole: list[StoredLayer] = []
    yield from _layers(store, whole)
    try:
        yield from _driver(store)
    except Unsupported as problem:
        yield Issue("unchecked", store.layers.driver.name, problem.message)
        return
    if content:
        for layer in whole:
            yield from _content(store, layer, tell)


def repair(store: ImageStore, issue: Issue) -> None:
    """Do what the issue's `repair` says. Raises StorageError."""
    if issue.code == "image-name-lost":
        store.rewrite_names(store.ids())
    elif issue.code == "image-config-damaged":
        store.discard(issue.subject)
    elif issue.code in ("layer-entry-damaged", "layer-tree-missing"):
        store.layers.discard(issue.subject)
    elif issue.code in ("layer-needless", "layer-unfinished"):
        store.collect()
    else:
        store.layers.driver.repair(issue)


def _images(store: ImageStore) -> Iterator[Issue]:
    ids = store.ids()
    try:
        for name, image in store.names().items():
            if image not in ids:
                text = f"it is the name of {image[:_SHORT]}, which is not there"
                yield Issue("image-name-lost", str(name), text, "forget the name")
    except Damaged as problem:
        yield Issue("image-names-damaged", "repositories.json", problem.message)
    for image in ids:
        yield from _image(store, image)


def _image(store: ImageStore, image: str) -> Iterator[Issue]:
    try:
        config = store.get(image).config
    except Damaged as problem:
        yield Issue("image-config-damaged", image, problem.message, "take the image away")
        return
    parent = store.parent(image)
    if parent is not None and parent not in store.ids():
        yield Issue("image-parent-missing", image, f"its parent {parent[:_SHORT]} is gone")
    lost = [chain for chain in config.chain() if not _is_named(store, chain)]
    if lost:
        text = (
            f"{len(lost)} of its {len(config.diff_ids)} layers are gone, first {lost[0][:_SHORT]}"
        )
        yield Issue("image-layer-missing", image, f"{text}: load it again")


def _is_named(store: ImageStore, chain: str) -> bool:
    try:
        store.layers.get(chain)
    except NoSuchLayer:
        return False
    except Damaged:  # which is told of the layer
        return True
    return True


def _layers(store: ImageStore, whole: list[StoredLayer]) -> Iterator[Issue]:
    layers = store.layers
    for chain in layers.chains():
        try:
            layer = layers.get(chain)
        except Damaged as problem:
            text = f"{problem.message}; {_AGAIN}"
            yield Issue("layer-entry-damaged", chain, text, "take the entry away")
            continue
        if layer.parent is not None and not _is_named(store, layer.parent):
            text = f"its parent {layer.parent[:_SHORT]} is gone: load the image again"
            yield Issue("layer-parent-missing", chain, text)
        else:
            whole.append(layer)
    for name in layers.unfinished():
        text = "an addition or removal was cut short"
        yield Issue("layer-unfinished", name, text, "take away what it left")


def _driver(store: ImageStore) -> Iterator[Issue]:
    layers = store.layers
    driver = layers.driver
    _tell_parents(layers)
    known = {layer.id: layer for layer in driver.layers()}
    for layer in layers.layers():
        if layer.cache_id not in known:
            text = f"the driver has no layer {layer.cache_id[:12]}; {_AGAIN}"
            yield Issue("layer-tree-missing", layer.chain_id, text, "take the entry away")
    for container, ids in layers.containers().items():
        for one in ids:
            if one not in known:
                text = f"the driver has no layer {one[:12]} of it"
                yield Issue("container-layer-missing", container, text)
    for orphan in layers.orphans():
        text = "no image and no container names it"
        yield Issue("layer-needless", orphan, text, "take it away")
    # BuildKit keeps layers that only its own database names.
    if not os.path.isdir(f"{store.root}/buildkit"):
        named = {layer.cache_id for layer in layers.layers()}
        named.update(one for ids in layers.containers().values() for one in ids)
        for tree in known.values():
            stray = tree.id not in named and re.fullmatch(_HEX, tree.id)
            if stray and tree.state is State.FOREIGN:
                yield Issue("layer-needless", tree.id, "no image and no container names it")
    yield from driver.check()


def _tell_parents(layers: LayerStore) -> None:
    """Which layer is below which, for a driver that has lost it or keeps no parents."""
    if isinstance(layers.driver, MountingDriver):
        found = {layer.chain_id: layer for layer in layers.layers()}
        layers.driver.told_parents = {
            layer.cache_id: found[layer.parent].cache_id
            for layer in found.values()
            if layer.parent is not None and layer.parent in found
        }


def _content(store: ImageStore, layer: StoredLayer, tell: Tell) -> Iterator[Issue]:
    layers = store.layers
    if not layers.has(layer.chain_id):
        return
    try:
        with layers.unchecked(layer.chain_id, tell) as tar:
            compared = deep.compare(layers, layer, tar)
    except (Damaged, OSError) as problem:
        yield Issue("layer-content-differs", layer.chain_id, str(problem))
        return
    except Unsupported as problem:
        yield Issue("unchecked", layer.chain_id, problem.message)
        return
    if compared.digest != layer.diff_id:
        text = layers.damaged_file(layer.chain_id) or f"its content is {compared.digest[:_SHORT]}"
        yield Issue("layer-content-differs", layer.chain_id, text)
    for words in compared.differences:
        yield Issue("layer-metadata-differs", layer.chain_id, words)
    if compared.more:
        text = f"and {compared.more} more differences"
        yield Issue("layer-metadata-differs", layer.chain_id, text)
