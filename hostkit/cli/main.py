# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one table of commands, one dispatch, one place that catches our errors."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TextIO

from hostkit import __version__
from hostkit.cli import invocation
from hostkit.cli.streams import discard_output, open_standard_streams
from hostkit.errors import HostkitError
from hostkit.text import printable

FAULT = 2
INTERRUPTED = 130
# Imports make objects that live as long as we do; looking for garbage among them is waste.
GARBAGE_THRESHOLD = 100_000

# Name -> (module, what it does). Only the chosen module is imported; each offers
# `run(arguments)`, which gets the words after the name and returns the exit code.
COMMANDS = {
    "preflight": ("preflight", "Can this host run containers, now and after the next boot?"),
    "doctor": ("doctor", "Find the root cause of what is wrong, on a host or in a text"),
    "explain": ("explain", "Explain one problem: causes, remedies, what it is not"),
    "list": ("listing", "List the checks or the problems that are known"),
    "collect": ("collect", "Write what the checks read into one file, for another machine"),
    "fix": ("fix", "Mend one problem; every change can be undone"),
    "undo": ("undo", "Take back what a fix changed"),
    "image": ("image", "Images: import, load, save, list, tag, remove"),
    "storage": ("storage", "The data root: probe, status, check, repair"),
}
HELP = """\
usage: hostkit COMMAND [OPTIONS]

Says what keeps a container host from working, with evidence and a remedy.

{commands}

Example:  hostkit preflight
          hostkit doctor "Error response from daemon: ..."
Options of a command:  hostkit COMMAND --help          Version:  hostkit --version
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (docs/architecture.md lists them)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except HostkitError as error:
        say = _language(sys.stderr)
        hint = [say("hint: ") + invocation.named(say(error.hint))] if error.hint else []
        _complain(say("error: ") + say(error.message), *hint)
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader has gone, as `| head` does
        discard_output()
        return 0
    except SystemExit as ended:  # argparse, after it said why
        return ended.code if isinstance(ended.code, int) else FAULT
    except Exception as error:  # noqa: BLE001 - a traceback helps nobody at 3 a.m.
        return _own_fault(error)
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        say = _language(sys.stdout)
        sys.stdout.write(say(HELP).format(commands=_command_table(say)))
        return 0 if arguments else FAULT
    if arguments[0] in ("-V", "--version"):
        sys.stdout.write(f"hostkit {__version__}\n")
        return 0
    if arguments[0] not in COMMANDS:
        raise HostkitError(f"there is no command {printable(arguments[0])}", _near(arguments[0]))
    command = import_module(f"hostkit.cli.{COMMANDS[arguments[0]][0]}")
    code: int = command.run(arguments[1:])
    return code


def _language(stream: TextIO) -> Callable[[str], str]:
    from hostkit.cli import language  # 2 ms that only help and errors need here

    return language.words_for(stream)


def _near(word: str) -> str:
    """The command that was probably meant, else all of them."""
    from difflib import get_close_matches

    close = get_close_matches(word, (*COMMANDS, "--version", "--help"), n=1)
    return f"did you mean {close[0]}?" if close else f"commands: {', '.join(COMMANDS)}"


def _command_table(say: Callable[[str], str]) -> str:
    return "\n".join(f"  {name:<10} {say(summary)}" for name, (_, summary) in COMMANDS.items())


def _own_fault(error: Exception) -> int:
    if os.environ.get("HOSTKIT_DEBUG"):
        import traceback

        traceback.print_exc()
    _complain(
        f"error: this is a fault of hostkit, not of the host: {type(error).__name__}: {error}",
        "hint: run it again with HOSTKIT_DEBUG=1 and report what it prints",
    )
    return FAULT


def _complain(*lines: str) -> None:
    for line in lines:
        try:
            print(printable(line), file=sys.stderr, flush=True)
        except OSError:  # nobody can be told
            return


def run() -> None:
    """Entry point of the installed program."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    open_standard_streams()
    sys.exit(main())
