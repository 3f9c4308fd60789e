from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import numpy as np
import pytest

from jupyter_wf.encodings import decode, encode
from jupyter_wf.engine.environments.frames import receive, send
from jupyter_wf.engine.store.testing import same


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [1, {"a": 2.5}],
        np.arange(12.0).reshape(3, 4),
        np.zeros((0, 3), "i2"),
        np.float32(1.5),
        {"x": np.ones(3), "y": [np.arange(2), b"bytes"]},
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["é", "b"]),
        complex,
    ],
    ids=repr,
)
def test_values_pass(pair: tuple[socket.socket, socket.socket], value: Any) -> None:
    encoded = encode(value)
    send(pair[0], ("head", 1), [encoded, encode(1)])
    head, (found, one) = receive(pair[1])
    assert head == ("head", 1)
    assert found.id == encoded.id
    assert same(decode(found), value)
    assert decode(one) == 1


def test_what_is_larger_than_a_pipe_passes_while_timeouts_strike(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    value = np.arange(3_000_000)
    pair[0].settimeout(0.001)
    pair[1].settimeout(0.001)
    sender = Thread(target=send, args=(pair[0], "big", [encode(value)]))
    sender.start()
    head, (found,) = receive(pair[1])
    sender.join()
    assert head == "big"
    assert (decode(found) == value).all()


def test_the_end_is_told_apart(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(b"\0\0")
    pair[0].close()
    with pytest.raises(EOFError):
        receive(pair[1])
    with pytest.raises(EOFError):
        send(pair[1], "x" * 10_000_000)
