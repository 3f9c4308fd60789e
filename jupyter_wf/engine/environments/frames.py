"""Messages between a worker and the processes of its environments: a pickled head, then arrays.

Arrays travel as dtype, shape and bytes, because the two ends may have different versions of NumPy,
of which the older can't read a pickle of the newer.
"""

from __future__ import annotations

import json
import pickle
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_wf.encodings import Encoded

if TYPE_CHECKING:
    from jupyter_wf.encodings.encoded import Leaf

_LENGTH = struct.Struct(">Q")


def send(sock: socket.socket, head: Any, values: Sequence[Encoded] = ()) -> None:
    """Send a head of plain values, and encoded values.

    With a timeout on the socket, that is how often an exception can be raised in this thread.
    """
    leaves = [leaf for value in values for leaf in value.leaves]
    text = pickle.dumps((head, [_outline(value) for value in values]), protocol=5)
    _send(sock, _LENGTH.pack(len(text)) + text)
    if leaves:
        from jupyter_wf.encodings.array import raw_bytes

        for leaf in leaves:
            _send(sock, raw_bytes(leaf))


def receive(sock: socket.socket) -> tuple[Any, list[Encoded]]:
    """Receive what was sent; raise `EOFError` if the other end is gone."""
    (length,) = _LENGTH.unpack(_receive(sock, bytearray(_LENGTH.size)))
    head, outlines = pickle.loads(_receive(sock, bytearray(length)))
    return head, list(_filled(sock, outlines))


def _outline(value: Encoded) -> tuple[Any, ...]:
    leaves = []
    if value.leaves:
        from jupyter_wf.encodings.array import dtype_text

        leaves = [(dtype_text(leaf.dtype), leaf.shape) for leaf in value.leaves]
    return value.kind, value.text, leaves, value.nbytes, value.summary, value.id


def _filled(sock: socket.socket, outlines: Iterable[tuple[Any, ...]]) -> Iterable[Encoded]:
    for kind, text, leaves, nbytes, summary, content in outlines:
        arrays = tuple([_array(sock, *leaf) for leaf in leaves])
        yield Encoded(kind, text, arrays, nbytes, summary, content)


def _array(sock: socket.socket, dtype: str, shape: tuple[int, ...]) -> Leaf:
    import numpy as np

    from jupyter_wf.encodings.array import dtype_of, raw_bytes

    array: Leaf = np.empty(shape, dtype_of(json.loads(dtype)))
    _receive(sock, raw_bytes(array))
    return array


def _send(sock: socket.socket, data: Any) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None


def _receive(sock: socket.socket, into: Any) -> Any:
    rest = memoryview(into)
    while rest:
        try:
            count = sock.recv_into(rest)
        except TimeoutError:
            continue
        except ConnectionResetError:
            raise EOFError from None
        if not count:
            raise EOFError
        rest = rest[count:]
    return into
