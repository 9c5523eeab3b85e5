# SPDX-License-Identifier: GPL-3.0-or-later
"""All packet-filter rules of a host: both backends, IPv4 and IPv6, iptables and nft.

Asking must not change the host: iptables and nft make the kernel load the modules they
want. So nobody is asked before /proc shows that the modules are there already; where
they are not, there are no rules, and that is known without asking.
"""

from collections.abc import Callable
from typing import TypeVar

from hostkit import text
from hostkit.facts.fact import Fact, Facts, parsed
from hostkit.facts.iptables import IPTABLES, Iptables, Saved, parse_save
from hostkit.facts.modules import MODULES, ModuleState
from hostkit.facts.nft import parse_json, parse_text
from hostkit.facts.ruleset import Backend, Family, Table
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Output
from hostkit.host.commands import (
    IP6TABLES_LEGACY_SAVE,
    IP6TABLES_NFT_SAVE,
    IP6TABLES_SAVE,
    IPTABLES_LEGACY_SAVE,
    IPTABLES_NFT_SAVE,
    IPTABLES_SAVE,
    NFT_LIST,
    NFT_LIST_JSON,
    Command,
)
from hostkit.value import NamedTuple

T = TypeVar("T")
# Written by the kernel's ip_tables: the tables that this network namespace has.
_LEGACY_NAMES = {
    Family.IPV4: "/proc/net/ip_tables_names",
    Family.IPV6: "/proc/net/ip6_tables_names",
}
_SAVE: dict[tuple[Family, Backend | None], Command] = {
    (Family.IPV4, None): IPTABLES_SAVE,
    (Family.IPV4, Backend.LEGACY): IPTABLES_LEGACY_SAVE,
    (Family.IPV4, Backend.NFT): IPTABLES_NFT_SAVE,
    (Family.IPV6, None): IP6TABLES_SAVE,
    (Family.IPV6, Backend.LEGACY): IP6TABLES_LEGACY_SAVE,
    (Family.IPV6, Backend.NFT): IP6TABLES_NFT_SAVE,
}


class Ruleset(NamedTuple):
    """Every table that could be read, and what could not (`gaps`: nothing follows there).

    `iptables` is the program of that name, None when there is none. `incompatible`: nft
    tables with names of iptables' own that it cannot show.
    """

    tables: tuple[Table, ...]
    iptables: Iptables | None = None
    gaps: tuple[Unreadable, ...] = ()
    incompatible: tuple[str, ...] = ()

    def table(self, name: str, family: Family = Family.IPV4) -> Table | None:
        """The table that the program iptables (or ip6tables) itself would show."""
        backend = self.iptables.backend if self.iptables else Backend.NFT
        return next((t for t in self.of(family, backend) if t.iptables and t.name == name), None)

    def of(self, family: Family, backend: Backend) -> tuple[Table, ...]:
        """The tables of one family in one backend."""
        return tuple(t for t in self.tables if t.family is family and t.backend is backend)

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The backends in which iptables' own tables hold a rule or a policy that drops."""
        used = {t.backend for t in self.tables if t.iptables and t.used}
        return tuple(backend for backend in Backend if backend in used)


def _saved(family: Family, backend: Backend) -> Callable[[Facts], Answer[Saved]]:
    def gather(facts: Facts) -> Answer[Saved]:
        idle = _legacy_idle(facts, family) if backend is Backend.LEGACY else _nft_idle(facts)
        if idle is not None:
            return Known(Saved(()), idle.source) if isinstance(idle, Known) else idle
        program = facts.known(IPTABLES)
        own = program is not None and program.backend is backend
        command = _SAVE[family, None if own else backend]
        answer = _ask(facts, command, lambda said: parse_save(said, family, backend))
        if isinstance(answer, Absent):
            return Unreadable(answer.source, f"{answer.reason}, so its rules are not known")
        return answer

    return gather


def _legacy_idle(facts: Facts, family: Family) -> Known[None] | Unreadable | None:
    """The answer when the legacy tables need not be asked for: there are none."""
    names = facts.host.read(_LEGACY_NAMES[family])
    if isinstance(names, Unreadable):
        return names
    if isinstance(names, Absent) or not names.value.split():
        return Known(None, names.source)
    return None


def _nft_idle(facts: Facts) -> Known[None] | Unreadable | None:
    """The answer when nf_tables cannot be asked without loading it, or has nothing."""
    modules = facts.get(MODULES)
    if not isinstance(modules, Known):
        if isinstance(facts.host.stat("/proc/modules"), Absent):
            return None  # a kernel without modules: nothing can be loaded by asking
        return Unreadable("nf_tables", "not asked: that could load a kernel module")
    state = modules.value.state("nf_tables")
    if state in (ModuleState.LOADED, ModuleState.BUILTIN):
        return None
    if state is ModuleState.UNKNOWN:
        return Unreadable("nf_tables", "not asked: that could load a kernel module")
    return Known(None, f"{modules.source}: nf_tables is not loaded")


def _nft(facts: Facts) -> Answer[tuple[Table, ...]]:
    idle = _nft_idle(facts)
    if idle is not None:
        return Known((), idle.source) if isinstance(idle, Known) else idle
    answer = _ask(facts, NFT_LIST_JSON, parse_json)
    if isinstance(answer, Unreadable) and not answer.needs_root:  # built without JSON
        return _ask(facts, NFT_LIST, parse_text)
    return answer


def _ask(facts: Facts, command: Command, parse: Callable[[str], T]) -> Answer[T]:
    answer = facts.host.run(command)
    if not isinstance(answer, Known):
        return answer
    if answer.value.truncated:
        return Unreadable(answer.source, f"said more than {command.limit} bytes")
    if _refused(answer.value):  # nft may exit with 0 although it was not let in
        return Unreadable(answer.source, "permission denied", not facts.host.privileged)
    return parsed(text.decode(answer.value.stdout), answer.source, parse)


def _refused(said: Output) -> bool:
    return not said.stdout.strip() and (
        b"ermission denied" in said.stderr or b"not permitted" in said.stderr
    )


LEGACY4: Fact[Saved] = Fact(
    "iptables legacy rules", _saved(Family.IPV4, Backend.LEGACY), waits=True
)
LEGACY6: Fact[Saved] = Fact(
    "ip6tables legacy rules", _saved(Family.IPV6, Backend.LEGACY), waits=True
)
NFT4: Fact[Saved] = Fact("iptables nft rules", _saved(Family.IPV4, Backend.NFT), waits=True)
NFT6: Fact[Saved] = Fact("ip6tables nft rules", _saved(Family.IPV6, Backend.NFT), waits=True)
NFTABLES: Fact[tuple[Table, ...]] = Fact("nft rules", _nft, waits=True)


def _gather(facts: Facts) -> Answer[Ruleset]:
    facts.prefetch((LEGACY4, LEGACY6, NFT4, NFT6, NFTABLES))
    program = facts.get(IPTABLES)
    if isinstance(program, Unreadable):
        return program
    own = program.value.backend if isinstance(program, Known) else None
    native = facts.get(NFTABLES)
    main = facts.get(LEGACY4 if own is Backend.LEGACY else NFT4) if own else native
    if isinstance(main, Unreadable):
        return main
    if isinstance(main, Absent):
        return Unreadable(main.source, "neither iptables nor nft is installed to read the rules")
    tables: list[Table] = []
    gaps: list[Unreadable] = []
    incompatible: list[str] = []
    for fact in (LEGACY4, LEGACY6, NFT4, NFT6):
        answer = facts.get(fact)
        if isinstance(answer, Known):
            tables.extend(answer.value.tables)
            incompatible.extend(answer.value.incompatible)
        elif not (isinstance(native, Known) and fact in (NFT4, NFT6)):  # nft shows those too
            gaps.append(Unreadable(answer.source, answer.reason))
    told = {(table.family, table.name) for table in tables if table.backend is Backend.NFT}
    if isinstance(native, Known):
        # iptables-save shows its own tables with every detail, nft does not.
        tables.extend(t for t in native.value if (t.family, t.name) not in told)
    else:
        gaps.append(Unreadable(native.source, native.reason))
    version = program.value if isinstance(program, Known) else None
    ruleset = Ruleset(tuple(tables), version, tuple(gaps), tuple(incompatible))
    return Known(ruleset, main.source)


RULESET: Fact[Ruleset] = Fact("packet filter", _gather, waits=True)
