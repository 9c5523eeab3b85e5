# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour, and text laid out in cells; colour never says what the words do not say."""

from collections.abc import Callable, Iterable

from hostkit import text
from hostkit.value import NamedTuple

MINIMUM_WIDTH = 40
_CODES = {"error": "1;31", "warning": "1;33", "info": "1;36", "ok": "32", "dim": "2", "bold": "1"}

FAMILY_WORDS = {
    "yum": "CentOS 7, RHEL 7, Oracle Linux 7 (yum)",
    "dnf": "RHEL 8 and later, Fedora (dnf)",
    "apt": "Debian, Ubuntu (apt)",
    "zypper": "SUSE (zypper)",
    "any": "anywhere",
}

_WITH_NEXT = (">", ">>", "<")  # never at the end of a folded line


def in_english(words: str) -> str:
    """The language that everything is written in."""
    return words


class Style(NamedTuple):
    """How wide a line may be, in cells, whether colours are understood, and in which language.

    `say` gives fixed words and texts of the catalogue in that language, or as they are.
    """

    width: int = 80
    colour: bool = False
    say: Callable[[str], str] = in_english

    def translated(self, words: str) -> str:
        """The words in another language than English, or ""."""
        said = self.say(words)
        return "" if said == words else said

    def counted(self, number: int, noun: str) -> str:
        """A number with its noun.

        >>> Style().counted(1, "error"), Style().counted(0, "check")
        ('1 error', '0 checks')
        """
        return self.say("{number} " + (noun if number == 1 else f"{noun}s")).format(number=number)

    def because(self, advice: str, why: str) -> str:
        """Advice that does damage, and why."""
        said = self.say("{advice}, because {why}")
        return said.format(advice=self.say(advice), why=self.say(why))

    def join(self, parts: Iterable[str]) -> str:
        """Parts of an enumeration."""
        return self.say(", ").join(parts)

    def paint(self, kind: str, words: str) -> str:
        """Words in the colour of a severity, or `ok`, `dim`, `bold`."""
        return f"\x1b[{_CODES[kind]}m{words}\x1b[0m" if self.colour else words


def family_words(family: str, style: Style) -> str:
    """The distributions of a family of packages, before their commands."""
    return style.say(FAMILY_WORDS.get(family, family)) + style.say(":")


def hang(label: str, words: str, cells: int, indent: int = 0) -> list[str]:
    """A label and words wrapped beside it; one unbreakable word may be longer than a line.

    >>> hang("fix: ", "load the module now", 18, indent=2)
    ['  fix: load the', '       module now']
    """
    margin = " " * indent
    room = max(1, cells - indent - text.width(label))
    lines = text.wrap(text.printable(words), room) or [""]
    rest = margin + " " * text.width(label)
    return [f"{margin}{label}{lines[0]}".rstrip(), *(rest + line for line in lines[1:])]


def command_lines(command: str, cells: int, indent: int) -> list[str]:
    r"""A command to be copied: broken only where a shell joins it again.

    >>> command_lines("echo 'a b' > /etc/x", 14, 2)
    ["  echo 'a b' \\", '    > /etc/x']
    >>> command_lines("# reboot when it suits", 14, 2)
    ['  # reboot', '  # when it', '  # suits']
    >>> command_lines("systemctl restart docker  # a minute", 25, 0)
    ['# a minute', 'systemctl restart docker']
    """
    margin = " " * indent
    lines: list[str] = []
    for raw in command.split("\n"):
        line = text.printable(raw).rstrip()
        if text.width(line) + indent <= cells or "<<" in command:
            lines.append(margin + line)
            continue
        words = _shell_words(line)
        if words[-1].startswith("#"):  # a comment that does not fit stands before its command
            comment = text.wrap(words.pop().lstrip("# "), max(1, cells - indent - 2))
            lines.extend(f"{margin}# {part}" for part in comment)
        if words:
            lines.extend(_folded(words, margin, cells))
    return lines


def _folded(words: list[str], margin: str, cells: int) -> list[str]:
    lines: list[str] = []
    current = margin + words[0]
    for at, word in enumerate(words[1:], 2):
        mark = 2 if at < len(words) else 0  # the last line ends without a backslash
        if text.width(current) + 1 + text.width(word) + mark > cells:
            lines.append(current + " \\")
            current = f"{margin}  {word}"
        else:
            current += " " + word
    return [*lines, current]


def _shell_words(line: str) -> list[str]:
    """The line cut at blanks outside quotes; a comment at its end stays in one piece."""
    words: list[str] = []
    word, quote, escaped = "", "", False
    for at, character in enumerate(line):
        if character == " " and not quote and not escaped:
            if word.rstrip() in _WITH_NEXT:
                word = f"{word.rstrip()} "
            elif word:
                words.append(word)
                word = ""
            continue
        if character == "#" and not quote and not word:
            return [*words, line[at:]]
        word += character
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = ""
        elif character in "'\"" and not quote:
            quote = character
    return [*words, word] if word else words
