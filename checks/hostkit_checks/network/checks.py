# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding and bridges: what containers need to reach anything at all."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import Evidence, Finding, Outcome, Passed, Severity
from hostkit.facts.fact import Facts
from hostkit.facts.sysctl import CONFIGURED, Assignment, proc_path, sysctl

IP_FORWARD = sysctl("net.ipv4.ip_forward")


@check(
    "ipv4-forwarding",
    title="Are packets of containers forwarded, now and after the next boot?",
    problems=("ipv4-forwarding-disabled",),
    needs=(IP_FORWARD,),
    uses=(CONFIGURED,),
    required=("docker", "podman", "hostkit"),
)
def ipv4_forwarding(facts: Facts) -> Iterator[Outcome]:
    """Off now is an error; on now but off at boot is the surprise after a restart."""
    configured = facts.known(CONFIGURED)
    winner = configured.winner("net.ipv4.ip_forward") if configured else None
    value = facts.value(IP_FORWARD)
    if value != "1":
        yield Finding(
            problem="ipv4-forwarding-disabled",
            severity=Severity.ERROR,
            summary=f"net.ipv4.ip_forward is {value}: containers reach no other host",
            evidence=(
                Evidence(proc_path("net.ipv4.ip_forward"), value),
                *_written(winner),
            ),
        )
    elif winner is not None and winner.value != "1":
        yield Finding(
            problem="ipv4-forwarding-disabled",
            severity=Severity.WARNING,
            summary=f"ip_forward is 1 now, and {winner.value} from the next boot on",
            evidence=_written(winner),
        )
    else:
        yield Passed("IPv4 forwarding is on")


def _written(winner: Assignment | None) -> tuple[Evidence, ...]:
    if winner is None:
        return ()
    return (Evidence(winner.file, f"{winner.key} = {winner.value}", winner.line),)


CHECKS: tuple[Check, ...] = (ipv4_forwarding,)
