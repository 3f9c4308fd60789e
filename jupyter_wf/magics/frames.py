"""Errors as people want to see them: what is wrong, and their own lines, not ours or IPython's."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from jupyter_wf.errors import WorkflowError
from jupyter_wf.magics.options import HelpAsked

P = ParamSpec("P")
T = TypeVar("T")
_OURS = "jupyter_wf"


def say(text: str) -> None:
    """Print text for the person at the notebook: the magics' only way to do so."""
    sys.stdout.write(f"{text}\n")


def users_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without its frames inside this package.

    The first frame, the shell's own that ran the cell, stays: shells leave it out themselves.
    """
    frames = []
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] != _OURS:
            frames.append(traceback)
        traceback = traceback.tb_next
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def message_only(error: BaseException, text: str | None = None) -> None:
    """Have shells show an error as one message, without any traceback."""
    shown = f"{type(error).__name__}: {error if text is None else text}"
    error._render_traceback_ = lambda: shown.split("\n")  # type: ignore[attr-defined]


def friendly(magic: Callable[P, T]) -> Callable[P, T | None]:
    """Wrap a magic: its errors are one message, and asking for help prints it.

    The error is still raised, so that the cell fails and what runs cells one after the other stops.
    """

    @functools.wraps(magic)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return magic(*args, **kwargs)
        except HelpAsked as asked:
            say(str(asked))
            return None
        except WorkflowError as error:
            message_only(error)
            raise

    return wrapped


def interrupted(text: str) -> KeyboardInterrupt:
    """Return an interrupt that is shown as one message."""
    error: Any = KeyboardInterrupt(text)
    message_only(error)
    return error  # type: ignore[no-any-return]
