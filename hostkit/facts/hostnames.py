# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of the host, and whether its own files can turn a name into an address."""

from hostkit.facts.fact import Fact, file_fact, refuse
from hostkit.value import NamedTuple

HOSTNAME_FILE = "/proc/sys/kernel/hostname"
HOSTS_FILE = "/etc/hosts"
NSSWITCH = "/etc/nsswitch.conf"
_LABEL_LIMIT = 63
_NAME_LIMIT = 253
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class Hosts(NamedTuple):
    """The lines of /etc/hosts: an address and its names."""

    entries: tuple[tuple[str, tuple[str, ...]], ...]

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses of a name."""
        wanted = name.lower()
        return tuple(address for address, names in self.entries if wanted in names)


def parse_hostname(content: str) -> str:
    r"""The kernel's host name.

    >>> parse_hostname("web07.example.net\n")
    'web07.example.net'
    """
    return content.strip() or refuse("no name is set")


def parse_hosts(content: str) -> Hosts:
    r"""The names of hosts(5), lower case.

    >>> parse_hosts("127.0.0.1 localhost # us\n\n192.0.2.7\tweb07.example.net web07\n").entries[1]
    ('192.0.2.7', ('web07.example.net', 'web07'))
    """
    entries: list[tuple[str, tuple[str, ...]]] = []
    for line in content.splitlines():
        words = line.partition("#")[0].lower().split()
        if len(words) > 1:
            entries.append((words[0], tuple(words[1:])))
    return Hosts(tuple(entries))


def parse_nsswitch(content: str) -> tuple[str, ...]:
    r"""Who is asked for addresses, in order (nsswitch.conf(5)).

    >>> parse_nsswitch("passwd: files\nhosts: files [!UNAVAIL=return] myhostname dns\n")
    ('files', 'myhostname', 'dns')
    """
    for line in content.splitlines():
        key, colon, rest = line.partition("#")[0].partition(":")
        if colon and key.strip() == "hosts":
            return tuple(word for word in rest.split() if word[0].isalpha())
    return refuse("no line hosts:")


def fault_of(name: str) -> str:
    """Why a name cannot be the name of a DNS host (RFC 1123); "" when it can.

    >>> fault_of("web-07.example.net"), fault_of("Web_07")
    ('', 'it has upper-case letters')
    >>> fault_of("web_07"), fault_of("-a"), fault_of("a..b")
    ("it has '_' in it", 'a part of it begins or ends with a dash', 'a part of it is empty')
    """
    if len(name) > _NAME_LIMIT:
        return f"it is longer than {_NAME_LIMIT} characters"
    if name != name.lower():
        return "it has upper-case letters"
    for label in name.split("."):
        if not label:
            return "a part of it is empty"
        if len(label) > _LABEL_LIMIT:
            return f"a part of it is longer than {_LABEL_LIMIT} characters"
        strange = next((letter for letter in label if letter not in _LETTERS), "")
        if strange:
            return f"it has {strange!r} in it"
        if label[0] == "-" or label[-1] == "-":
            return "a part of it begins or ends with a dash"
    return ""


HOSTNAME: Fact[str] = file_fact("host name", HOSTNAME_FILE, parse_hostname)
HOSTS: Fact[Hosts] = file_fact("hosts file", HOSTS_FILE, parse_hosts)
NAME_SERVICES: Fact[tuple[str, ...]] = file_fact("name services", NSSWITCH, parse_nsswitch)
