"""A body as a syntax tree, or an error that says which line of the cell is not Python."""

from __future__ import annotations

import ast
import re

from jupyter_wf.errors import CaptureError

_IPYTHON = re.compile(r"^\s*(%%?\w|!|\?)|\?\s*$|^[^=#]*=\s*[!%]")


def parse(source: str, first_line: int = 1) -> ast.Module:
    """Parse a body; raise `CaptureError` with the line in the cell where it can't be compiled."""
    try:
        tree = ast.parse(source)
        compile(tree, "<task>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CaptureError(_explain(error, source, first_line)) from None
    except ValueError as error:
        raise CaptureError(f"The body can't be compiled: {error}.") from None
    return tree


def _explain(error: SyntaxError, source: str, first_line: int) -> str:
    lines = source.split("\n")
    number = min(max(error.lineno or 1, 1), len(lines))
    text = lines[number - 1]
    where = f"line {number + first_line - 1} of this cell"
    if text.lstrip().startswith("%%"):
        return f"{where} starts a second cell magic. Move it to a cell of its own:\n    {text}"
    if _IPYTHON.search(text):
        return (
            f"{where} is IPython syntax, but a task is plain Python (it runs on a worker). "
            f"Move the line to a cell of its own, or write it in Python:\n    {text}"
        )
    caret = "\n    " + " " * (error.offset - 1) + "^" if error.offset else ""
    return f"{where}: {type(error).__name__}: {error.msg}\n    {text}{caret}"
