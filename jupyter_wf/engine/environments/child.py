"""The process of an environment: runs one attempt after another for a worker, and ends with it."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.breaker import Breaker
from jupyter_wf.engine.environments.frames import receive, send
from jupyter_wf.engine.modules import Modules
from jupyter_wf.engine.output import redirection
from jupyter_wf.engine.signals import Attempt, Family, Finished, Source
from jupyter_wf.engine.worker import Bench
from jupyter_wf.graph import Code


class Worker:
    """The worker, as this process sees it; stands in for the lease that the attempt is in.

    Parameters
    ----------
    sock : socket
    memory : dict
        The values that are here, by content id.
    """

    def __init__(self, sock: socket.socket, memory: dict[str, Encoded]) -> None:
        self.nonce = ""
        self._socket = sock
        self._memory = memory
        self._sending = Lock()
        self._asking = Lock()

    def tell(self, serial: int, stream: str, what: object) -> None:
        """Pass on output and progress."""
        self.send(("told", serial, stream, what))

    def spawn(self, serial: int, family: Family) -> None:  # noqa: ARG002 - as every lease
        """Add children to the graph now."""
        self._ask(("spawn", family), [self._memory[stored.id] for _, stored in family.given])

    def wait(self, attempt: Attempt, name: str, data: str, timeout: float | None) -> Source:  # noqa: ARG002
        """Wait until a value is there."""
        found: Source = self._ask(("wait", name, data, timeout))[0]
        return found

    def fetch(self, source: Source) -> Encoded:
        """Return a value that is not here."""
        return self._ask(("fetch", source))[1][0]

    def send(self, what: Any, values: Sequence[Encoded] = ()) -> None:
        """Send a message; any thread may call."""
        with self._sending:
            send(self._socket, what, values)

    def _ask(self, what: Any, values: Sequence[Encoded] = ()) -> tuple[Any, list[Encoded]]:
        with self._asking:
            self.send(what, values)
            (how, found), encoded = receive(self._socket)
        if how == "raise":
            raise found
        return found, encoded


def main(connection: int, alive: int, behind: Sequence[str]) -> None:
    """Work until the worker hangs up.

    Parameters
    ----------
    connection : int
        File descriptor of a socket to the worker.
    alive : int
        File descriptor of a pipe whose other end only the worker holds.
    behind : sequence of str
        Folders of the worker's packages.
    """
    _end_with(alive)
    front = list({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    if not {*front} & {*behind}:
        from jupyter_wf.engine.environments.behind import Guard

        sys.meta_path.insert(0, Guard(front, behind))
    sock = socket.socket(fileno=connection)
    redirection.install()
    os.dup2(1, 2)
    memory: dict[str, Encoded] = {}
    worker = Worker(sock, memory)
    bench = Bench("", memory, worker.fetch, None, worker.tell, modules=Modules(), alone=True)
    codes: dict[int, Code] = {}
    while True:
        try:
            (number, code, worker.nonce, attempt), inputs = receive(sock)
        except EOFError:
            return
        if code is not None:
            codes[number] = replace(code, environment=None)
        attempt = replace(attempt, job=replace(attempt.job, code=codes[number]))
        memory.update({value.id: value for value in inputs})
        del inputs
        answer, _ = bench.perform(worker, attempt, Breaker())
        wanted: dict[str, None] = {}
        if isinstance(answer, Finished):
            wanted.update({one.id: None for one in answer.outputs if not isinstance(one, str)})
            wanted.update({stored.id: None for _, stored in answer.family.given})
        worker.send(("answer", answer), [memory[content] for content in wanted])
        memory.clear()


def _end_with(alive: int) -> None:
    """Have the system end this process when the other end of a pipe closes.

    It does so by SIGIO, whose default is to end the process, so that code which never returns to
    Python, or holds its lock, is ended too.
    """
    fcntl.fcntl(alive, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([alive], [], [], 0)[0]:
        raise SystemExit(0)  # it closed before
