"""Large values between workers: sockets and certificates are real, the workers are not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np
import pytest
from distributed import Security

from jupyter_wf.encodings import Encoded, decode, encode
from jupyter_wf.engine.dask import large
from jupyter_wf.engine.dask.large import LARGE, Sender, receive
from jupyter_wf.engine.dask.wire import encoded_out, pack
from jupyter_wf.engine.testing import PATIENCE


@dataclass
class Worker:
    """A worker that has some values, and what it was asked for on its own loop."""

    security: Security
    address: str
    values: dict[str, Encoded] = field(default_factory=dict)
    asked: list[bool] = field(default_factory=list)

    def start(self) -> Sender:
        self.sender = Sender(self, lambda session, content: self.values.get(content))
        return self.sender

    def ask(self, content: str) -> Any:
        def asked(here: bool) -> Any:
            self.asked.append(here)
            value = self.values.get(content)
            if value is not None and value.nbytes >= LARGE and not here and self.sender.place:
                return {"at": self.sender.place}
            message = pack(None if value is None else encoded_out(value))
            return {"head": message["head"], "aside": [one.data for one in message["aside"]]}

        return asked


@pytest.fixture(params=["tcp", "tls"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    security = Security.temporary() if request.param == "tls" else Security()
    worker = Worker(security, f"{request.param}://127.0.0.1:1")
    worker.start()
    yield worker
    worker.sender.close()


def received(worker: Worker, content: str) -> Encoded | None:
    connection = worker.security.get_connection_args("worker")
    return receive(worker.address, worker.ask(content), connection, "s", content)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(LARGE // 8 + 1.0),
        {"a": np.zeros((1000, 1001), "c16"), "b": [np.arange(3), "text" * LARGE]},
        np.empty((0, 3)),
        [1, "two"],
        b"x" * LARGE,
    ],
    ids=["array", "tree", "empty", "small", "bytes"],
)
def test_a_value_arrives_as_it_was(worker: Worker, value: Any) -> None:
    sent = encode(value)
    worker.values[sent.id] = sent
    for _ in range(2):
        found = received(worker, sent.id)
        assert found is not None
        assert (found.id, found.text, found.kind) == (sent.id, sent.text, sent.kind)
        assert encode(decode(found)).id == sent.id
        assert all(leaf.ctypes.data % leaf.dtype.itemsize == 0 for leaf in found.leaves)
    assert worker.asked == [False, False]


def test_what_is_gone_is_not_there(worker: Worker) -> None:
    assert received(worker, "0" * 40) is None
    sent = encode(np.zeros(LARGE))
    worker.values[sent.id] = sent
    ask = worker.ask(sent.id)
    place = ask(False)
    worker.values.clear()
    connection = worker.security.get_connection_args("worker")
    assert receive(worker.address, lambda here: place, connection, "s", sent.id) is None


def test_a_port_that_is_not_open_is_gone_round(worker: Worker) -> None:
    sent = encode(np.zeros(LARGE))
    worker.values[sent.id] = sent
    place = worker.sender.place
    worker.sender.close()
    assert worker.sender.place is None
    worker.sender.place = place
    assert received(worker, sent.id) is not None
    assert worker.asked == [False, True]
    worker.sender.place = None


class Stopped(dict[str, Encoded]):
    """Values of a worker that answers no more, once it was asked."""

    def __init__(self) -> None:
        self.asked, self.goes_on = Event(), Event()

    def get(self, *_: Any) -> Any:
        self.asked.set()
        self.goes_on.wait()


def test_nobody_waits_for_a_worker_that_was_given_up(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "PATIENCE", 1000.0)
    worker.values = stopped = Stopped()
    place = worker.sender.place
    connection = worker.security.get_connection_args("worker")

    def ask(here: bool) -> Any:
        if here:
            raise OSError("it was given up")
        return {"at": place}

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(receive, worker.address, ask, connection, "s", "c" * 40)
        try:
            assert stopped.asked.wait(PATIENCE)
            large.hang_up(worker.address)
            with pytest.raises(OSError, match="given up"):
                waiting.result(PATIENCE)
        finally:
            stopped.goes_on.set()


def test_strangers_are_sent_away() -> None:
    worker = Worker(Security.temporary(), "tls://127.0.0.1:1")
    worker.start()
    sent = encode(np.zeros(LARGE))
    worker.values[sent.id] = sent
    for stranger in (Security(), Security.temporary()):
        connection = stranger.get_connection_args("worker")
        received = receive(worker.address, worker.ask(sent.id), connection, "s", sent.id)
        assert received is not None
    assert worker.asked == [False, True, False, True]
    worker.sender.close()


@pytest.mark.parametrize("address", ["inproc://1.2.3.4/5/6", "ucx://127.0.0.1:1"])
def test_other_protocols_go_the_usual_way(address: str) -> None:
    assert Worker(Security(), address).start().place is None
