# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit explain CODE`: what a problem is, what it is not, and every way to mend it."""

from argparse import ArgumentParser
from collections.abc import Sequence

from hostkit import plugins
from hostkit.cli import common, invocation
from hostkit.repair.actions import ACTIONS
from hostkit.report import explain

EXAMPLES = (
    "hostkit explain ipv4-forwarding-disabled",
    "hostkit explain loop-lvm-in-use --family yum",
    "hostkit explain ipv4-forwarding-disabled --format json",
)
FAMILIES = ("yum", "dnf", "apt", "zypper")


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser(
        "explain", "Explains one problem; `hostkit list problems` names them.", EXAMPLES
    )
    made.add_argument("code", metavar="CODE")
    made.add_argument(
        "--family", choices=FAMILIES, default="", help="whose commands come first (default: ours)"
    )
    common.add_output(made, ("text", "json"))
    return made


def run(arguments: Sequence[str]) -> int:
    """Show one problem."""
    parsed = options().parse_args(arguments)
    problem = plugins.load((plugins.CHECKS_GROUP,)).catalogue().get(parsed.code)
    output = common.output_of(parsed)
    if output.format == "json":
        from hostkit.report import jsonout

        output.write(jsonout.dump(jsonout.problem_data(problem)))
        return 0
    family = parsed.family or _own_family()
    output.write(explain.render(problem, family, ACTIONS, output.style(), invocation.program()))
    return 0


def _own_family() -> str:
    from hostkit.facts.fact import Facts
    from hostkit.facts.osrelease import OS_RELEASE
    from hostkit.host.local import LocalHost

    release = Facts(LocalHost()).known(OS_RELEASE)
    return release.package_family if release else "any"
