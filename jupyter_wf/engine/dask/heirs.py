"""On a Dask worker: starts the processes that take over from sessions whose own have died."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from contextlib import suppress
from typing import Any

from jupyter_wf.engine.dask.contact import as_client
from jupyter_wf.engine.dask.deposit import Legacy

logger = logging.getLogger("jupyter_wf.engine")


class Heirs:
    """The processes of one worker, by session; they end with it.

    Parameters
    ----------
    worker : distributed.Worker
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._speaking = asyncio.Lock()

    async def take_over(
        self, session: str, store: str, share: float, entries: list[bytes], elsewhere: list[str]
    ) -> int:
        """Have the rest of what a session asked for computed; return 0 when it has ended."""
        legacy = Legacy(
            self._worker.scheduler.address,
            as_client(self._worker.security),
            store,
            share,
            tuple(entries),
            tuple(elsewhere),
        )
        logger.info("The process of session %s died; %s takes over.", session, self._worker.address)
        process = self._processes[session] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jupyter_wf.engine.dask.successor",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await _say(process, legacy)
            return await process.wait()
        finally:
            self._processes.pop(session, None)
            _kill(process)

    async def give_way(self, session: str, tasks: list[str]) -> None:
        """Tell a process what a living session asked for as well; return when it has heeded it."""
        process = self._processes.get(session)
        if process is not None and process.stdout is not None:
            async with self._speaking:
                await _say(process, tasks)
                await process.stdout.read(1)

    def close(self) -> None:
        """End all."""
        for process in self._processes.values():
            _kill(process)


async def _say(process: asyncio.subprocess.Process, what: object) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it has ended
        process.stdin.write(pickle.dumps(what, protocol=5))
        await process.stdin.drain()


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
