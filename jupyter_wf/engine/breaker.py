"""Stops the body that a thread runs, and never strikes the code around it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Stopped(BaseException):
    """Raised in a task's thread to stop it; not an `Exception`, so that few bodies catch it."""


class Breaker:
    """Runs one body, in whatever thread, and stops it if asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._struck = False

    def guarded(self, body: Callable[[], Any]) -> Any:
        """Run `body`; `Stopped` is raised in it if `stop` is called meanwhile, or was before."""
        with self._lock:
            if self._struck:
                raise Stopped
            self._thread = threading.get_ident()
        try:
            try:
                return body()
            finally:
                self._close()
        except Stopped:
            self._close()
            raise

    def stop(self) -> None:
        """Raise `Stopped` in the body, at its next bytecode, once: it may have to clean up."""
        with self._lock:
            first, self._struck = not self._struck, True
            if self._thread and first:
                thread = ctypes.c_ulong(self._thread)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Stopped))

    def _close(self) -> None:
        with self._lock:
            self._thread = 0
            struck, self._struck = self._struck, False
        if struck:
            # What was asked for but not raised yet is raised here, where it does no harm. (To take
            # it back by asking for None leaves CPython 3.11 looking for it at every call.)
            with suppress(Stopped):
                for _ in range(1000):
                    pass
