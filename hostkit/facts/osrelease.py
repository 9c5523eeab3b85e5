# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distribution this is, and which package tool its remedies are written for."""

import re

from hostkit.facts.fact import Fact, Facts, read_text, refuse
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

# os-release(5): the first file that exists counts. EL 6 and Debian 6 have none of the two.
PATHS = ("/etc/os-release", "/usr/lib/os-release")
_ASSIGNMENT = r"([A-Z][A-Z0-9_]*)=(.*)"
_RED_HAT_LINE = r"(?P<name>.+?)\s+(?:Linux\s+)?release\s+(?P<version>[\d.]+)"
_FAMILIES: tuple[tuple[str, frozenset[str]], ...] = (
    ("rhel", frozenset(("rhel", "centos", "fedora", "ol", "rocky", "almalinux", "amzn",
                        "scientific", "virtuozzo", "cloudlinux", "openEuler", "anolis"))),
    ("debian", frozenset(("debian", "ubuntu", "raspbian", "linuxmint"))),
    ("suse", frozenset(("suse", "opensuse", "sles", "sled"))),
    ("arch", frozenset(("arch", "archarm", "manjaro"))),
)  # fmt: skip
# Of the family that uses rpm: those below these major versions have yum, the others dnf.
_FIRST_DNF = {"fedora": 22, "amzn": 2022}
_FIRST_DNF_EL = 8


class OsRelease(NamedTuple):
    """`id` as os-release has it (`centos`, `ubuntu`); "" for what is not said."""

    id: str
    id_like: tuple[str, ...]
    version_id: str
    pretty_name: str

    @property
    def major(self) -> int | None:
        """The first number of the version, None for a rolling release."""
        number = self.version_id.partition(".")[0]
        return int(number) if number.isascii() and number.isdigit() else None

    @property
    def family(self) -> str:
        """`rhel` (all that are made from it, Fedora too), `debian`, `suse`, `arch`, `other`.

        >>> OsRelease("rocky", ("rhel", "centos"), "9.4", "Rocky Linux 9.4").family
        'rhel'
        """
        for word in (self.id, *self.id_like):
            for family, ids in _FAMILIES:
                if word in ids or (word.startswith("opensuse-") and family == "suse"):
                    return family
        return "other"

    @property
    def package_family(self) -> str:
        """The key into a remedy's commands: `yum`, `dnf`, `apt`, `zypper` or `any`."""
        family = self.family
        if family == "rhel":
            first = _FIRST_DNF.get(self.id, _FIRST_DNF_EL)
            return "yum" if self.major is not None and self.major < first else "dnf"
        return {"debian": "apt", "suse": "zypper"}.get(family, "any")


def parse_os_release(content: str) -> OsRelease:
    r"""The assignments of an os-release file, in the quoting of the shell.

    >>> parse_os_release('ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n').id_like
    ('rhel', 'fedora')
    """
    values: dict[str, str] = {}
    for line in content.splitlines():
        match = re.match(_ASSIGNMENT, line.strip())
        if match:
            values[match[1]] = _unquoted(match[2].strip())
    if not values.keys() & {"ID", "NAME", "PRETTY_NAME"}:
        refuse("it names no distribution")
    return OsRelease(
        id=values.get("ID", "linux"),
        id_like=tuple(values.get("ID_LIKE", "").split()),
        version_id=values.get("VERSION_ID", ""),
        pretty_name=values.get("PRETTY_NAME", values.get("NAME", "")),
    )


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return re.sub(r"\\(.)", r"\1", value)


def parse_redhat_release(content: str) -> OsRelease:
    r"""The one line of /etc/redhat-release.

    >>> parse_redhat_release("CentOS release 6.10 (Final)\n")[::2]
    ('centos', '6.10')
    >>> parse_redhat_release("Red Hat Enterprise Linux Server release 7.9 (Maipo)").id
    'rhel'
    """
    line = content.strip().partition("\n")[0]
    match = re.match(_RED_HAT_LINE, line)
    if match is None:
        refuse(f"no release in {line[:60]!r}")
    first = match["name"].split()[0].lower()
    ids = {"red": "rhel", "oracle": "ol", "scientific": "scientific", "fedora": "fedora"}
    return OsRelease(ids.get(first, first), ("rhel", "fedora"), match["version"].strip("."), line)


def parse_debian_version(content: str) -> OsRelease:
    r"""The one word of /etc/debian_version: a number, or `bookworm/sid`.

    >>> parse_debian_version("7.11\n").version_id
    '7.11'
    """
    word = content.strip()
    if not re.fullmatch(r"[\w./~+-]{1,60}", word):
        refuse("no Debian version")
    version = word if word[0].isdigit() else ""
    return OsRelease("debian", (), version, f"Debian GNU/Linux {word}")


def _gather(facts: Facts) -> Answer[OsRelease]:
    failed: Unreadable | None = None
    for path, parse in (
        *((path, parse_os_release) for path in PATHS),
        ("/etc/redhat-release", parse_redhat_release),
        ("/etc/debian_version", parse_debian_version),
    ):
        answer = read_text(facts.host, path, parse)
        if isinstance(answer, Known):
            return answer
        if isinstance(answer, Unreadable):
            failed = failed or answer
    return failed or Absent(PATHS[0], "no file here names the distribution")


OS_RELEASE: Fact[OsRelease] = Fact("os release", _gather, waits=False)
