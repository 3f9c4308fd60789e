"""What runs in a process of `concurrent.futures`: one lease."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.family import InputLostError
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.modules import Modules
from jupyter_wf.engine.output import redirection
from jupyter_wf.engine.signals import Source
from jupyter_wf.engine.worker import Bench
from jupyter_wf.records import Record

_PIPES: list[Connection] = []


def enter(pipe: Connection) -> None:
    """Take the pipe, and leave it to the engine's process what Ctrl-C means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _PIPES.append(pipe)


def hold(name: str) -> None:
    """Be a lease: run what comes through the pipe, until told to end or nobody is there."""
    (pipe,) = _PIPES
    lock = Lock()
    outbox = _Outbox()
    redirection.install()

    def send(*item: Any) -> None:
        with lock, suppress(OSError):
            pipe.send(item)

    def fetch(source: Source) -> Encoded:
        raise InputLostError(source.content)  # whatever an attempt reads has come with it

    def answer(answers: list[Any]) -> None:
        written, values = outbox.taken()
        small = {value.id: value for _, kept in answers for value in kept}
        everything = [*{**small, **values}.values()]
        send("answers", [told for told, _ in answers], written, everything, {**bench.executions})

    def tell(serial: int, stream: str, what: object) -> None:
        send("told", serial, stream, what)

    bench = Bench(name, {}, fetch, outbox, tell, modules=Modules())  # type: ignore[arg-type]
    hands = Hands(bench, name, answer)

    def hear() -> None:
        while True:
            try:
                item = pipe.recv()
            except (EOFError, OSError):
                os._exit(1)  # the engine's process is gone, and nobody else would end this one
            match item:
                case "hand", attempts, values:
                    bench.give(values)
                    hands.take(attempts)
                case "provide", serial, data, source, failure, values:
                    bench.give(values)
                    hands.provide(serial, data, source, failure)
                case "stop", serial:
                    hands.stop(serial)
                case ("recall",):
                    send("unrun", hands.empty())
                case "drop", contents:
                    for content in contents:
                        bench.memory.pop(content, None)
                case ("end",):
                    break
        hands.empty()
        hands.stop_all()
        hands.end()

    Thread(target=hear, daemon=True).start()
    send("joined", os.getpid())
    hands.work()
    send("ended")


class _Outbox:
    """Takes the place of a `Writer`: what is to be written goes along with the answers."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: list[tuple[int, Record | None, tuple[str, ...]]] = []
        self._values: dict[str, Encoded] = {}

    def put(self, serial: int, record: Record | None, values: Mapping[str, Encoded]) -> None:
        """Keep an entry for the next answer."""
        with self._lock:
            self._values.update(values)
            self._entries.append((serial, record, tuple(values)))

    def taken(self) -> tuple[list[Any], dict[str, Encoded]]:
        """Return what was put since this was last asked."""
        with self._lock:
            entries, self._entries = self._entries, []
            values, self._values = self._values, {}
        return entries, values
