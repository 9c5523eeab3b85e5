# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images as people type them: `ubuntu`, `host:5000/team/app:1.2`, `app@sha256:...`.

A name is kept in the familiar form, as `docker images` shows it and repositories.json has
it: docker.io is not said, nor its library/. (distribution, reference/reference.go)
"""

import re

from hostkit.storage.digest import valid_digest
from hostkit.storage.errors import StorageError
from hostkit.value import NamedTuple

_HOST = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
)
_DOMAIN = rf"(?:{_HOST}|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_PATH = rf"{_PART}(?:/{_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_HEX64 = r"[0-9a-f]{64}"
_ID_PREFIX = r"(?:sha256:)?([0-9a-f]{1,64})"
_MOST = 255  # characters of a name without tag and digest
_LONGEST = _MOST + 1 + 128 + 1 + 71
_HUB = ("docker.io/", "index.docker.io/")
_LIBRARY = "library/"
LATEST = "latest"


class Reference(NamedTuple):
    """A name with a tag, or a digest, or neither (which stands for all tags)."""

    name: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag}" if self.tag else self.name


class InvalidReference(StorageError):
    """A name that no image can have."""


def parse(text: str) -> Reference:
    """The reference in a word; without a tag or digest it is `latest`.

    Raises InvalidReference.

    >>> str(parse("ubuntu")), str(parse("docker.io/library/ubuntu:22.04"))
    ('ubuntu:latest', 'ubuntu:22.04')
    >>> parse("host:5000/team/app:1.2")
    Reference(name='host:5000/team/app', tag='1.2', digest='')
    """
    if not text or len(text) > _LONGEST:
        raise _refused(text, "it is empty" if not text else "it is too long")
    named, at, digest = text.partition("@")
    name, tag = _split_tag(named)
    name = familiar(name)
    if at:
        try:
            return Reference(name, digest=valid_digest(digest))
        except StorageError:
            raise _refused(text, "after @ comes sha256: and 64 hex digits") from None
    if tag is None:
        return Reference(name, LATEST)
    if not re.fullmatch(_TAG, tag):
        raise _refused(text, "a tag is up to 128 letters, digits, and _ . - inside")
    return Reference(name, tag)


def familiar(name: str) -> str:
    """The short form of a repository's name. Raises InvalidReference.

    >>> familiar("docker.io/library/ubuntu"), familiar("index.docker.io/team/app")
    ('ubuntu', 'team/app')
    """
    for hub in _HUB:
        if name.startswith(hub):
            name = name.removeprefix(hub)
            if _is_domain(name.partition("/")[0]) and "/" in name:
                raise _refused(name, "it names two registries")
            break
    domain, slash, path = name.partition("/")
    if not slash or not _is_domain(domain):
        domain, path = "", name.removeprefix(_LIBRARY)
    _refuse_invalid(name, domain, path)
    return f"{domain}/{path}" if domain else path


def _refuse_invalid(name: str, domain: str, path: str) -> None:
    if len(name) > _MOST:
        raise _refused(name, f"a name has at most {_MOST} characters")
    if domain and not re.fullmatch(_DOMAIN, domain):
        raise _refused(name, f"{domain!r} is no registry")
    if path != path.lower():
        raise _refused(name, "capital letters are for tags only")
    if not re.fullmatch(_PATH, path):
        raise _refused(name, "use a-z 0-9, with . _ - inside and / between parts")
    if name == "sha256":
        raise _refused(name, "it begins an id")
    if not domain and re.fullmatch(_HEX64, path):
        raise _refused(name, "64 hex digits are an image's id")


def id_prefix(text: str) -> str:
    """The hex digits of what may be an image's id or the beginning of one, else "".

    >>> id_prefix("sha256:ab12"), id_prefix("ubuntu")
    ('ab12', '')
    """
    match = re.fullmatch(_ID_PREFIX, text)
    return match[1] if match else ""


def _split_tag(named: str) -> tuple[str, str | None]:
    """A colon after the last slash begins the tag; one before it a port."""
    slash = named.rfind("/")
    colon = named.find(":", slash + 1)
    return (named, None) if colon < 0 else (named[:colon], named[colon + 1 :])


def _is_domain(part: str) -> bool:
    return "." in part or ":" in part or part == "localhost" or part != part.lower()


def _refused(text: str, why: str) -> InvalidReference:
    return InvalidReference(
        f"{text[:80]!r} cannot be an image's name: {why}", "such as team/app:1.2"
    )
