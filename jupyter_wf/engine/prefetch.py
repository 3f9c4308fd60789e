"""Inputs that come while something else computes: what is in a lease's hands says what is needed.

A value that was fetched ahead is nobody's yet: it is kept here until an attempt takes it into the
worker's memory, which the engine then hears of, or until its attempt is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.signals import Source

#: Bytes that may be here, or on their way here, before anybody takes them.
ROOM = 512_000_000
#: Bytes from which it is worth it: less is there sooner than another thread is awake.
LEAST = 64_000
THREADS = 2


class Prefetch:
    """Fetches what attempts will read, on threads of its own.

    Parameters
    ----------
    here : container of str
        Content ids of what this worker has.
    fetch : callable
        Finds a value that is elsewhere, or raises.
    room : int
        Bytes. What does not fit is fetched when it is needed.
    """

    def __init__(
        self, here: Container[str], fetch: Callable[[Source], Encoded], room: int = ROOM
    ) -> None:
        self._here = here
        self._fetch = fetch
        self._room = room
        self._coming: dict[str, tuple[int, Future[Encoded]]] = {}
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def expect(self, sources: Iterable[Source]) -> None:
        """Begin to fetch what is not here; any thread may call."""
        for source in sources:
            if source.nbytes < LEAST or source.content in self._here:
                continue
            with self._lock:
                if source.content in self._coming or source.nbytes > self._room:
                    continue
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(THREADS, "jupyter-wf-prefetch")
                self._room -= source.nbytes
                coming = self._pool.submit(self._fetch, source)
                self._coming[source.content] = source.nbytes, coming

    def take(self, source: Source) -> Encoded:
        """Return a value that is not here: the one that is coming, or else fetch it now.

        Raises what `fetch` raises.
        """
        coming = self._remove(source.content)
        return self._fetch(source) if coming is None or coming.cancel() else coming.result()

    def forget(self, sources: Iterable[Source]) -> None:
        """Drop what is not needed any more."""
        for source in sources:
            coming = self._remove(source.content)
            if coming is not None:
                coming.cancel()

    def close(self) -> None:
        """Drop everything."""
        with self._lock:
            self._coming.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _remove(self, content: str) -> Future[Encoded] | None:
        with self._lock:
            nbytes, coming = self._coming.pop(content, (0, None))
            self._room += nbytes
            return coming
