"""Executes a script as Python would, so that the workflows it makes take the command line's say."""

from __future__ import annotations

import ast
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING

from jupyter_wf.cli import overrides
from jupyter_wf.cli.sources import Ended, note
from jupyter_wf.errors import CaptureError, NotComputedError

if TYPE_CHECKING:
    from jupyter_wf.cli.sources import Session


def execute(session: Session) -> Ended:
    """Execute the script of a session as ``__main__``."""
    path = session.source
    try:
        tree = ast.parse(path.read_text("utf-8"), str(path))
    except (SyntaxError, ValueError) as error:
        raise CaptureError(f"{path.name} is not Python: {error}") from error
    if session.values:
        overrides.check(session.values, overrides.assigned(tree))
        tree = overrides.Override(session.values).visit(tree)
    module = ModuleType("__main__")
    module.__file__ = str(path)
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    sys.modules["__main__"], sys.argv = module, [str(path)]
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(tree, str(path), "exec"), vars(module))  # noqa: S102 - the user's own script
    except NotComputedError as error:
        note(f"{path.name} is left at a line that needs a value: {error}")
    except SystemExit as error:
        if error.code not in (None, 0):
            return Ended(f"{path.name} ended with {error.code}")
    except Exception as error:  # noqa: BLE001 - a script may fail in any way, and says so here
        traceback.print_exc()
        return Ended(f"{path.name} failed: {type(error).__name__}")
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = before
    return Ended()
