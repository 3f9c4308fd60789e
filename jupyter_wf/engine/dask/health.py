"""Whether a worker that is not heard is busy, stopped, or out of reach: its nanny knows.

A task that holds the interpreter's lock keeps its worker's loop from answering for as long as it
likes, so silence proves nothing. The nanny is another process, and sees the worker's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import cloudpickle
from distributed.core import rpc

from jupyter_wf.engine.dask.link import Link

State = Literal["busy", "stopped", "gone"]
#: So many times as long is waited for a worker that has no nanny to ask.
ALONE = 10


class Vigil:
    """Suspects workers that fall silent, finds out what is the matter, and gives up the lost.

    Parameters
    ----------
    links : dict
        By address, those to look after now.
    silent : float
        Seconds without a word after which a worker is suspected.
    connection : dict
        Arguments of connections to nannies.
    suspect : callable
        Called with a link that is suspected now, and why.
    """

    def __init__(
        self,
        links: Mapping[str, Link],
        silent: float,
        connection: dict[str, Any],
        suspect: Callable[[Link, str], None],
    ) -> None:
        self._links = links
        self._silent = silent
        self._connection = connection
        self._suspect = suspect
        self._asking: set[asyncio.Task[None]] = set()

    async def keep(self) -> None:
        """Look after the workers until cancelled."""
        while True:
            for link in [*self._links.values()]:
                if not link.suspect and self._is_silent(link):
                    link.suspect = True
                    self._suspect(link, f"not heard for {self._silent:g} s")
                    task = asyncio.create_task(self._examine(link))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)
            await asyncio.sleep(self._silent / 10)

    def _is_silent(self, link: Link) -> bool:
        return time.monotonic() - link.last > self._silent

    async def _examine(self, link: Link) -> None:
        """Give a silent worker up if it is stopped or out of reach; a busy one is waited for."""
        state: State = "busy"
        while self._links.get(link.address) is link and self._is_silent(link):
            if link.nanny is not None:
                state = await state_of(link.nanny, self._connection, self._silent)
                # Whoever held up this process may have held up the worker's words to it as well.
                await asyncio.sleep(self._silent / 10)
            elif time.monotonic() - link.last > ALONE * self._silent:
                state = "gone"
            if state != "busy" and self._is_silent(link):
                said = "its process is stopped" if state == "stopped" else "it can't be reached"
                link.abort(f"not heard for {time.monotonic() - link.last:.1f} s, and {said}")
                return
            await asyncio.sleep(self._silent / 2)


async def state_of(nanny: str, connection: dict[str, Any], patience: float) -> State:
    """Ask a nanny what its worker's process does; no answer within `patience` seconds is gone."""
    try:
        status = await asyncio.wait_for(_ask(nanny, connection), patience)
    except (TimeoutError, OSError):
        return "gone"
    if status is None:
        return "gone"
    return "stopped" if status in {"stopped", "tracing-stop"} else "busy"


async def end(nanny: str, connection: dict[str, Any]) -> None:
    """End a worker's process by its nanny, which starts another."""
    async with rpc(nanny, connection_args=connection) as asked:
        await asked.run(function=cloudpickle.dumps(_kill), wait=True)


async def _ask(nanny: str, connection: dict[str, Any]) -> str | None:
    async with rpc(nanny, connection_args=connection) as asked:
        answer = await asked.run(function=cloudpickle.dumps(_status), wait=True)
    found: str | None = answer.get("result")
    return found


def _status(dask_worker: Any) -> str | None:
    """Return the state of a worker's process; runs in its nanny."""
    import psutil

    process = dask_worker.process
    if process is None or process.pid is None:
        return None
    try:
        return str(psutil.Process(process.pid).status())
    except psutil.Error:
        return None


def _kill(dask_worker: Any) -> None:
    """Kill the process of a worker; runs in its nanny."""
    import psutil

    psutil.Process(dask_worker.process.pid).kill()
