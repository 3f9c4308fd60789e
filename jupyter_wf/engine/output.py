"""What a running task writes (print, warnings, log records) goes to its card, not to a terminal.

The process has one ``sys.stdout``, and many leases: proxies look at a context variable to find
whose text it is. Threads that a task starts by itself write where they wrote before.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from threading import Event, Lock, Thread
from typing import Any, TextIO

EVERY = 0.1
PIECE = 16_000
#: Characters of output that one attempt may have; what comes after is counted, not kept.
MOST = 1_000_000

Tell = Callable[[str, str], None]
_sink: ContextVar[Sink | None] = ContextVar("jupyter_wf_output", default=None)


class Sink:
    """Collects one attempt's text and passes it on as (stream, text), about ten times a second.

    As a context manager, it takes all that its thread writes while the block runs.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = Lock()
        self._stream = ""
        self._text: list[str] = []
        self._size = 0
        self._total = 0
        self._last = 0.0

    def __enter__(self) -> None:
        redirection.renew()
        self._token = _sink.set(self)

    def __exit__(self, *_: object) -> None:
        _sink.reset(self._token)
        self.flush()

    def write(self, stream: str, text: str) -> None:
        """Take text; it is passed on when a line ends, or soon after."""
        if not text:
            return
        now = time.monotonic()
        with self._lock:
            if stream != self._stream:
                self._pass_on()
                self._stream = stream
            room = MOST - self._total
            self._total += len(text)
            if room > 0:
                cut = text[:room] + ("\n… more output is not kept.\n" if len(text) > room else "")
                self._text.append(cut)
                self._size += len(cut)
            if self._size > PIECE or (text[-1] == "\n" and now - self._last >= EVERY):
                self._pass_on()
            elif self._text:
                _flusher.watch(self)

    def flush(self) -> None:
        """Pass on what is waiting."""
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._text:
            text = collapse("".join(self._text))
            self._text, self._size = [], 0
            self._last = time.monotonic()
            self._tell(self._stream, text)


def collapse(text: str) -> str:
    r"""Keep of each line only what a terminal would show after its carriage returns.

    Examples
    --------
    >>> collapse("10%\r50%\r100%\ndone")
    '100%\ndone'
    """
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


class _Flusher:
    """Flushes sinks that wrote no complete line lately; its thread sleeps while there are none."""

    def __init__(self) -> None:
        self._sinks: set[Sink] = set()
        self._lock = Lock()
        self._some = Event()
        self._thread: Thread | None = None

    def watch(self, sink: Sink) -> None:
        """Flush `sink` once, within about `EVERY` seconds."""
        with self._lock:
            self._sinks.add(sink)
            self._some.set()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="jupyter-wf-output", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(EVERY)
            with self._lock:
                sinks, self._sinks = self._sinks, set()
                self._some.clear()
            for sink in sinks:
                sink.flush()


_flusher = _Flusher()


class _Stream:
    """Stands in for ``sys.stdout`` or ``sys.stderr``; no `io` class: those close at exit."""

    def __init__(self, name: str, under: TextIO) -> None:
        self.stream = name
        self.under = under

    def write(self, text: str) -> int:
        sink = _sink.get()
        if sink is None:
            return self.under.write(text)
        sink.write(self.stream, text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return _sink.get() is None and self.under.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)


class _Handler(logging.Handler):
    """Log records of a running task; records of anybody else go where they would have gone."""

    def emit(self, record: logging.LogRecord) -> None:
        sink = _sink.get()
        if sink is not None:
            sink.write("log", self.format(record) + "\n")
        elif len(logging.getLogger().handlers) == 1 and logging.lastResort is not None:
            if record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)


class Redirection:
    """Installs the proxies in this process; what `install` returns removes them again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._handler = _Handler()
        self._handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self._shown: Any = warnings.showwarning

    def install(self) -> Callable[[], None]:
        """Install, unless somebody did; return the function that undoes this, once."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                logging.getLogger().addHandler(self._handler)
                logging.getLogger("jupyter_wf.task").setLevel(logging.INFO)
        self.renew()
        pending = [True]

        def undo() -> None:
            with self._lock:
                if pending and pending.pop():
                    self._users -= 1
                    if not self._users:
                        self._restore()

        return undo

    def renew(self) -> None:
        """Install again what somebody (a test runner, a shell) has replaced meanwhile."""
        if (
            type(sys.stdout) is _Stream
            and type(sys.stderr) is _Stream
            and warnings.showwarning == self._show
        ):
            return
        with self._lock:
            if not self._users:
                return
            for name in ("stdout", "stderr"):
                under = getattr(sys, name)
                if under is not None and type(under) is not _Stream:
                    setattr(sys, name, _Stream(name, under))
            if warnings.showwarning != self._show:
                self._shown = warnings.showwarning
                warnings.showwarning = self._show

    def _restore(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if type(stream) is _Stream:
                setattr(sys, name, stream.under)
        logging.getLogger().removeHandler(self._handler)
        if warnings.showwarning == self._show:
            warnings.showwarning = self._shown

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        sink = _sink.get()
        if sink is None or file is not None:
            self._shown(message, category, filename, lineno, file, line)
        else:
            text = warnings.formatwarning(message, category, filename, lineno, line)
            sink.write("warning", text)


redirection = Redirection()
