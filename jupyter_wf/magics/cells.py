"""Cells whose magic is ``%%task``, recognised and put in order before IPython reads them."""

from __future__ import annotations

import re

_TASK = re.compile(r"%%task(\s|$)")


def _first_line(lines: list[str]) -> int | None:
    """Index of the first line that is neither blank nor a comment, if it is ``%%task``."""
    for index, line in enumerate(lines):
        if _TASK.match(line):
            return index
        if line.strip() and not line.lstrip().startswith("#"):
            return None
    return None


def is_task(cell: str) -> bool:
    r"""Whether a cell is a ``%%task`` cell.

    Examples
    --------
    >>> is_task("# a note\n%%task\nx = 1")
    True
    """
    return _first_line(cell.splitlines()) is not None


def magic_first(lines: list[str]) -> list[str]:
    r"""Move comments and blank lines from above ``%%task`` to below it.

    IPython knows a magic on the first line only. As many lines as before stand above every line of
    the code, so line numbers stay right. A ``%%task`` with nothing below it gets an empty line:
    IPython would refuse it before its options, ``-h`` among them, are looked at.

    Examples
    --------
    >>> magic_first(["# a note\n", "%%task fit\n", "x = 1\n"])
    ['%%task fit\n', '# a note\n', 'x = 1\n']
    """
    index = _first_line(lines)
    if index is None:
        return lines
    magic = lines[index] if lines[index].endswith("\n") else f"{lines[index]}\n"
    rest = [*lines[:index], *lines[index + 1 :]]
    return [magic, *(rest or ["\n"])]
