"""Values on a Dask worker: kept where Dask can spill them, found with peers or in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from threading import Lock
from typing import Any

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.dask.large import receive
from jupyter_wf.engine.family import InputLostError
from jupyter_wf.engine.signals import Source
from jupyter_wf.errors import MissingValueError, StoreError
from jupyter_wf.records import Item

#: Bytes up to which a value is not worth spilling: to have Dask do it costs more memory than that.
TINY = 500
#: Seconds within which a peer must take a connection.
REACH = 2.0


class Memory(MutableMapping[str, Encoded]):
    """One session's values, by content id: in ``worker.data``, tiny ones beside it."""

    def __init__(self, data: MutableMapping[str, Any], session: str) -> None:
        self._data = data
        self._prefix = f"wf-{session}-"
        self._tiny: dict[str, Encoded] = {}

    def __getitem__(self, content: str) -> Encoded:
        tiny = self._tiny.get(content)
        if tiny is not None:
            return tiny
        found: Encoded = self._data[self._prefix + content]
        return found

    def __contains__(self, content: object) -> bool:
        # Without this, to ask would bring back what was spilled.
        return content in self._tiny or f"{self._prefix}{content}" in self._data

    def __setitem__(self, content: str, value: Encoded) -> None:
        if value.nbytes <= TINY:
            self._tiny[content] = value
        else:
            self._data[self._prefix + content] = value

    def __delitem__(self, content: str) -> None:
        if self._tiny.pop(content, None) is None:
            del self._data[self._prefix + content]

    def __iter__(self) -> Iterator[str]:
        yield from [*self._tiny]
        for key in [*self._data]:
            if isinstance(key, str) and key.startswith(self._prefix):
                yield key[len(self._prefix) :]

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LateStore:
    """A store that is opened when it is first needed: that takes longer than many a task."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store: Store | None = None
        self._lock = Lock()

    def opened(self) -> Store:
        """Return the store."""
        with self._lock:
            if self._store is None:
                from jupyter_wf.engine.store import open_store

                self._store = open_store(self.url)
            return self._store

    def commit(self, batch: Sequence[tuple[Item, Mapping[str, Any]]], owner: str = "") -> None:
        """Commit, as `Store.commit`."""
        self.opened().commit(batch, owner)

    def get(self, content: str) -> Encoded:
        """Read a value that any process may have written."""
        store = self.opened()
        try:
            return store.encoded(content)
        except MissingValueError:
            store.refresh()
            return store.encoded(content)


def find_input(worker: Any, session: str, store: LateStore | None) -> Callable[[Source], Encoded]:
    """Return the function that finds an input which this worker does not hold."""
    connection = worker.security.get_connection_args("worker")

    async def fetch(peer: str, content: str, here: bool) -> Any:
        # Dask would try for half a minute to reach a worker that has just died.
        worker.rpc.reuse(peer, await worker.rpc.connect(peer, timeout=REACH))
        return await worker.rpc(peer).wf_fetch(session=session, content=content, here=here)

    def ask(peer: str, content: str, here: bool) -> Any:
        asked = fetch(peer, content, here)
        return asyncio.run_coroutine_threadsafe(asked, worker.loop.asyncio_loop).result()

    def find(source: Source) -> Encoded:
        for peer in source.holders:
            if peer != worker.address:
                try:
                    asking = partial(ask, peer, source.content)
                    found = receive(peer, asking, connection, session, source.content)
                except OSError:
                    continue
                if found is not None:
                    return found
        # One that died may have committed it without being able to say so.
        if store is None:
            raise InputLostError(source.content)
        try:
            return store.get(source.content)
        except StoreError as error:
            raise InputLostError(source.content) from error

    return find
