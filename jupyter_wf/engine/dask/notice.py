"""SIGTERM as a notice: who is about to take a worker's machine away says so by it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


def heed(leave: Callable[[], object]) -> Callable[[], None]:
    """Have `leave` called at the first SIGTERM that this process gets; return what undoes this.

    Nothing is done where somebody else looks after the signal, or this isn't the main thread. A
    process that a task forks inherits the handler, and ends by the signal as it would without.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return lambda: None
    mine = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == mine:
            leave()
        else:
            os.kill(os.getpid(), number)

    def undo() -> None:
        if signal.getsignal(signal.SIGTERM) is handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, handle)
    return undo
