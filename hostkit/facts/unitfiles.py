# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line and the environment that the files of a service give it.

Files, not `systemctl cat`: they answer in a snapshot and in a chroot too, and every word
keeps the file and the line that it comes from.
"""

import re
from collections.abc import Iterator, Mapping

from hostkit import text
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.units import split_words
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

# systemd.unit(5): the first folder that has the unit wins; of drop-ins with one name too.
FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# Where an init script or an upstart job takes the options from when there is no unit.
SYSV_FILES = ("/etc/sysconfig/docker", "/etc/default/docker", "/etc/conf.d/docker")
SYSV_VARIABLES = ("DOCKER_OPTS", "OPTIONS", "other_args", "DOCKER_STORAGE_OPTIONS")
_LIMIT = 1 << 18
_FILES_LIMIT = 64


class Word(NamedTuple):
    """A word of a command line, or the value of a variable, and where it stands."""

    text: str
    source: str
    line: int


class Service(NamedTuple):
    """`command`: ExecStart with its variables filled in, the program first."""

    files: tuple[str, ...]
    command: tuple[Word, ...]
    environment: tuple[tuple[str, Word], ...]
    unreadable: tuple[Unreadable, ...] = ()

    def variable(self, name: str) -> Word | None:
        """The value a variable of the environment has in the end, or None."""
        found = [word for key, word in self.environment if key == name]
        return found[-1] if found else None


class Directive(NamedTuple):
    """`name=value` of a section; continued lines are joined, `line` is the first."""

    section: str
    name: str
    value: str
    line: int


def parse_unit_file(content: str) -> Iterator[Directive]:
    r"""The directives of one unit file or drop-in (systemd.syntax(7)).

    >>> list(parse_unit_file("[Service]\nExecStart=/usr/bin/dockerd \\\n  -H fd://\n"))
    [Directive(section='Service', name='ExecStart', value='/usr/bin/dockerd  -H fd://', line=2)]
    """
    section, held, first = "", "", 0
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.strip()
        if not held and (not line or line[0] in "#;"):
            continue
        if held and line[:1] in ("#", ";"):
            continue  # a comment does not end a continued line
        first = first if held else number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        line, held = held + line, ""
        if line.startswith("["):
            section = line.strip("[] ")
            continue
        name, equals, value = line.partition("=")
        if equals:
            yield Directive(section, name.strip(), value.strip(), first)


_VARIABLE_LINE = r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)"


def parse_environment_file(content: str, source: str) -> Iterator[tuple[str, Word]]:
    r"""The variables of an EnvironmentFile or of a shell fragment such as sysconfig's.

    >>> dict(parse_environment_file("# no\nOPTIONS='-D --icc=false'\n", "f"))["OPTIONS"]
    Word(text='-D --icc=false', source='f', line=2)
    """
    held, first = "", 0
    for number, raw in enumerate(content.splitlines(), 1):
        first = first if held else number
        if raw.endswith("\\"):
            held += raw[:-1] + " "
            continue
        line, held = held + raw, ""
        match = re.match(_VARIABLE_LINE, line)
        if match:
            yield match[1], Word(_unquoted(match[2].strip()), source, first)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


_DOLLAR = r"\$\$|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)"


def expand_command(command: Word, environment: Mapping[str, Word]) -> tuple[Word, ...]:
    """The words of an ExecStart; `$NAME` alone becomes several words, `${NAME}` one.

    >>> options = Word("-D --mtu 1400", "/etc/sysconfig/docker", 3)
    >>> [w.text for w in expand_command(Word("-/bin/d $OPTIONS $NONE", "f", 1),
    ...                                 {"OPTIONS": options})]
    ['/bin/d', '-D', '--mtu', '1400']
    """
    words: list[Word] = []
    for raw in split_words(command.text):
        if raw.startswith("$") and re.fullmatch(_DOLLAR, raw) and raw[1:2] not in ("{", "$"):
            value = environment.get(raw[1:])
            if value is not None:
                words += [Word(one, value.source, value.line) for one in split_words(value.text)]
            continue
        words.append(Word(_filled(raw, environment), command.source, command.line))
    if words:
        words[0] = words[0]._replace(text=words[0].text.lstrip("-@:+!"))
    return tuple(words)


def _filled(raw: str, environment: Mapping[str, Word]) -> str:
    def value(match: "re.Match[str]") -> str:
        if match[0] == "$$":
            return "$"
        word = environment.get(match[1] or match[2])
        return word.text if word is not None else ""

    return re.sub(_DOLLAR, value, raw)


def _paths(host: Host, name: str) -> tuple[str, ...]:
    """The unit's file, then its drop-ins in the order in which systemd reads them."""
    unit = next(
        (
            f"{folder}/{name}"
            for folder in FOLDERS
            if isinstance(host.stat(f"{folder}/{name}"), Known)
        ),
        None,
    )
    drop_ins: dict[str, str] = {}
    for folder in FOLDERS:
        names = host.listdir(f"{folder}/{name}.d")
        if isinstance(names, Known):
            for one in names.value[:_FILES_LIMIT]:
                if one.endswith(".conf"):
                    drop_ins.setdefault(one, f"{folder}/{name}.d/{one}")
    ordered = tuple(drop_ins[one] for one in sorted(drop_ins))
    return (unit, *ordered) if unit is not None else ()


def read_service(host: Host, name: str) -> Answer[Service]:
    """What the files of one service say. Without a unit: Absent."""
    paths = _paths(host, name)
    if not paths:
        return Absent(f"{FOLDERS[0]}/{name}", "there is no such unit file")
    unreadable: list[Unreadable] = []
    start, assigned, named = Word("", paths[0], 0), list[Word](), list[Word]()
    for key, word in _directives(host, paths, unreadable):
        if key == "ExecStart" and word.text:
            start = word
        elif key == "Environment":
            assigned = [*assigned, word] if word.text else []
        elif key == "EnvironmentFile":
            named = [*named, word] if word.text else []
    environment = [pair for word in assigned for pair in _assigned(word)]
    for word in named[:_FILES_LIMIT]:
        environment += _environment_file(host, word, unreadable)
    command = expand_command(start, dict(environment))
    service = Service(paths, command, tuple(environment), tuple(unreadable))
    return Known(service, paths[0])


def _directives(
    host: Host, paths: tuple[str, ...], unreadable: list[Unreadable]
) -> Iterator[tuple[str, Word]]:
    """Every directive of [Service] in the files, in order."""
    for path in paths:
        answer = host.read(path, _LIMIT)
        if isinstance(answer, Unreadable):
            unreadable.append(answer)
        elif isinstance(answer, Known):
            for section, key, value, line in parse_unit_file(text.decode(answer.value)):
                if section == "Service":
                    yield key, Word(value, path, line)


def _assigned(word: Word) -> Iterator[tuple[str, Word]]:
    for one in split_words(word.text):
        name, equals, value = one.partition("=")
        if equals:
            yield name, word._replace(text=value)


def _environment_file(
    host: Host, named: Word, unreadable: list[Unreadable]
) -> Iterator[tuple[str, Word]]:
    path = named.text.removeprefix("-").strip("\"'")
    answer = host.read(path, _LIMIT) if path.startswith("/") else Absent(path)
    if isinstance(answer, Unreadable):
        unreadable.append(answer)
    elif isinstance(answer, Known):
        yield from parse_environment_file(text.decode(answer.value), path)


def _docker(facts: Facts) -> Answer[Service]:
    """docker.service, else what an init script would read."""
    answer = read_service(facts.host, "docker.service")
    if not isinstance(answer, Absent):
        return answer
    for path in SYSV_FILES:
        content = facts.host.read(path, _LIMIT)
        if isinstance(content, Unreadable):
            return content
        if isinstance(content, Known):
            environment = tuple(parse_environment_file(text.decode(content.value), path))
            words = [
                Word(one, path, word.line)
                for name, word in environment
                if name in SYSV_VARIABLES
                for one in split_words(word.text)
            ]
            command = (Word("dockerd", path, 0), *words)
            return Known(Service((path,), command, environment), path)
    return answer


DOCKER_SERVICE: Fact[Service] = Fact("docker service files", _docker, waits=False)
