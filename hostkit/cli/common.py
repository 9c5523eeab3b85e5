# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share: options, the host that is asked, selection, output."""

import os
import re
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from hostkit import files
from hostkit.cli import language
from hostkit.cli.streams import discard_output
from hostkit.diagnosis.finding import Severity
from hostkit.errors import InputError
from hostkit.report.style import MINIMUM_WIDTH, Style
from hostkit.text import printable, wrap
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from hostkit.facts.target import Target

STARTED = time.monotonic()
FAIL_ON = (*(severity.value for severity in Severity), "never")
FORMATS = ("text", "lines", "json", "junit")
EXIT_CODES = """\
exit codes:
  0  nothing at or above --fail-on
  1  something is
  2  a wrong option, or a file that cannot be used
  3  a check that this target requires could not look
"""
NOT_RECOGNISED = "     or the text was not recognised\n"
_WIDEST = 100
_DEFAULT_WIDTH = 80
_NUMBER = r"[0-9]{1,9}"  # int() takes no more than 4300 digits


class Output(NamedTuple):
    """How and where a result is shown; `format` "" means: as suits where it goes."""

    format: str = ""
    path: str = ""
    color: str = "auto"
    verbosity: int = 0

    @property
    def effective_format(self) -> str:
        """`text` for a terminal or a file, `lines` for a pipe, unless one was asked for."""
        return self.format or ("text" if self.path or sys.stdout.isatty() else "lines")

    def style(self) -> Style:
        """Width, colour and language of where the result goes."""
        if self.path:
            return Style(_DEFAULT_WIDTH, self.color == "always", language.words_for(None))
        return Style(_terminal_width(), self._coloured(), language.words_for(sys.stdout))

    def _coloured(self) -> bool:
        if self.color != "auto":
            return self.color == "always"
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in ("", "dumb")
        return not plain and sys.stdout.isatty()

    def write(self, content: str) -> None:
        """Show a finished result. Raises InputError when it cannot be written."""
        if not self.path:
            try:
                sys.stdout.write(content)
                sys.stdout.flush()
            except BrokenPipeError:  # the reader has seen enough; the exit code is still true
                discard_output()
            except OSError as error:
                discard_output()
                raise InputError(f"standard output cannot be written: {error.strerror}") from error
            return
        data = content.encode("utf-8", "backslashreplace")
        try:
            if os.path.exists(self.path) and not os.path.isfile(self.path):
                with open(self.path, "wb") as device:  # /dev/null must not become a file
                    device.write(data)
            else:
                files.write_atomic(self.path, data)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}") from error


def _terminal_width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if re.fullmatch(_NUMBER, columns) and int(columns) > 0:
        return max(MINIMUM_WIDTH, min(int(columns), _WIDEST))
    try:
        width = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return _DEFAULT_WIDTH
    return max(MINIMUM_WIDTH, min(width, _WIDEST)) if width else _DEFAULT_WIDTH


class _Help(RawDescriptionHelpFormatter):
    """Given a width, it does not import shutil (4 ms) to find one."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_terminal_width() - 1)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it without what a terminal obeys: a word may be a file's name, from a `*`."""
        super().error(printable(message))


def parser(
    command: str, description: str, examples: Iterable[str], more: str = ""
) -> ArgumentParser:
    """A parser for one command, its help ending in examples and `more`."""
    lines = "".join(f"  {example}\n" for example in examples)
    return _Parser(
        prog=f"hostkit {command}",
        description="\n".join(wrap(description, _terminal_width() - 1)),
        epilog=f"examples:\n{lines}" + (f"\n{more}" if more else ""),
        formatter_class=_Help,
        allow_abbrev=False,
    )


def add_output(made: ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """`--format`, `--color`, `-o`."""
    group = made.add_argument_group("output")
    group.add_argument(
        "--format",
        choices=formats,
        default="",
        help="default: text on a terminal, lines (one finding each) in a pipe"
        if "lines" in formats
        else "default: text",
    )
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set",
    )
    group.add_argument("-o", "--output", metavar="FILE", default="", help="write there instead")


def add_diagnosis(made: ArgumentParser) -> None:
    """What preflight and doctor have in common."""
    made.add_argument(
        "--for",
        dest="target",
        metavar="ENGINE[@VERSION]",
        default="docker",
        help="docker, podman, kubernetes or hostkit (default: docker)",
    )
    made.add_argument(
        "--snapshot", metavar="FILE", default="", help="a file of `hostkit collect`, not this host"
    )
    made.add_argument(
        "--source",
        choices=("text", "native"),
        default="text",
        help="ask files and programs (text), or the Python libraries where they know more",
    )
    group = made.add_argument_group("selection (codes, checks or areas, comma separated)")
    group.add_argument("--select", metavar="NAMES", action="append", default=[])
    group.add_argument("--ignore", metavar="NAMES", action="append", default=[])
    group.add_argument(
        "--ignore-file",
        metavar="FILE",
        default="",
        help="accepted findings, with reasons (default: /etc/hostkit/ignore.toml if it is there)",
    )
    group.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default=Severity.ERROR.value,
        help="exit with 1 from this severity on (default: error)",
    )
    add_output(made)
    made.add_argument("-v", "--verbose", action="store_true", help="also what passed")
    made.add_argument("-q", "--quiet", action="store_true", help="errors and totals alone")


def output_of(arguments: Namespace) -> Output:
    """The output options as a value."""
    quiet, verbose = getattr(arguments, "quiet", False), getattr(arguments, "verbose", False)
    return Output(
        format=arguments.format,
        path=arguments.output,
        color=arguments.color,
        verbosity=-1 if quiet else int(verbose),
    )


def words(given: Sequence[str]) -> frozenset[str]:
    """The names in options that may be repeated and hold commas."""
    return frozenset(name.strip() for option in given for name in option.split(",") if name.strip())


def target_of(given: str) -> "Target":
    """`docker@29` as a target. Raises InputError."""
    from hostkit.facts.target import ENGINES, Target

    engine, at, version = given.partition("@")
    numbers = version.split(".")
    if engine not in ENGINES:
        raise InputError(f"--for does not know {engine}", f"engines: {', '.join(ENGINES)}")
    if at and not all(re.fullmatch(_NUMBER, number) for number in numbers):
        raise InputError(f"--for {given}: the version is not a number", "such as docker@20.10")
    return Target(engine, tuple(map(int, numbers)) if at else ())
