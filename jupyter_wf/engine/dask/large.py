"""Large values move between threads, over sockets of their own: no loop waits while they do.

A loop that carries a gigabyte over TLS answers nobody else for a second, and one on another thread
is slow, because it takes the interpreter's lock for every few kilobytes. Threads that block in a
call hardly need it. So a worker that is asked for a large value says where else to ask; there its
sender listens, on the same interface and with the same certificates.

A request is a line of JSON, ``[session, content]``; the answer is the length of what follows, the
sizes of all buffers, and the buffers, the first of which is a pickle that refers to the others.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any

import numpy as np
from distributed.comm import get_address_host

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.dask.wire import encoded_out, unpack

#: Bytes from which a value goes this way.
LARGE = 4_000_000
PROTOCOLS = ("tcp", "tls")
#: Seconds without a byte after which the other end is held to be gone.
PATIENCE = 30.0
CONNECT = 10.0
LONGEST = 1 << 30

Place = tuple[str, int]

#: Connections of this process to senders, by the addresses of their workers.
_awaited: dict[str, set[socket.socket]] = {}


class Sender:
    """Serves the large values of one worker.

    Parameters
    ----------
    worker : distributed.Worker
    find : callable
        Takes a session and a content id; returns the value, or None.

    Attributes
    ----------
    place : (str, int) or None
        Host and port; None if it can't listen, and everything goes over the worker's loop.
    """

    def __init__(self, worker: Any, find: Callable[[str, str], Encoded | None]) -> None:
        self.place: Place | None = None
        self._find = find
        protocol = worker.address.partition("://")[0]
        self._context = worker.security.get_listen_args("worker").get("ssl_context")
        if protocol not in PROTOCOLS or (protocol == "tls" and self._context is None):
            return
        host = get_address_host(worker.address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        if protocol == "tcp":
            self._context = None
        self.place = host, self._listener.getsockname()[1]
        Thread(target=self._listen, name="jupyter-wf-sender", daemon=True).start()

    def close(self) -> None:
        """Stop listening; what is under way goes on."""
        if self.place is not None:
            self.place = None
            # Closing alone would not wake the thread.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            name = "jupyter-wf-send"
            Thread(target=self._serve, args=(connection,), name=name, daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            _be_patient(connection)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                session, content = json.loads(lines.readline(10_000))
                value = self._find(session, content)
                buffers = _buffers(None if value is None else encoded_out(value))
                sizes = struct.pack(f"<{len(buffers)}Q", *[len(one) for one in buffers])
                connection.sendall(struct.pack("<Q", len(sizes)) + sizes)
                for one in buffers:
                    connection.sendall(one)


def receive(
    worker: str,
    ask: Callable[[bool], Any],
    connection: dict[str, Any],
    session: str,
    content: str,
) -> Encoded | None:
    """Return a value that a worker has, or None if it has it no more.

    Parameters
    ----------
    worker : str
        Its address.
    ask : callable
        Asks the worker itself and returns its message; takes whether it must send even a large
        value itself.
    connection : dict
        Dask's arguments for connections.
    session, content : str

    Raises
    ------
    OSError
        The worker can't be reached, or was given up meanwhile: see `hang_up`.
    """
    message = ask(False)
    if "at" in message:
        host, port = message["at"]
        try:
            return _receive(worker, (host, port), connection.get("ssl_context"), session, content)
        except OSError:
            # The port may not be open to us, as behind some gateways.
            message = ask(True)
    parts = unpack(message)
    return None if parts is None else Encoded(*parts)


def hang_up(worker: str) -> None:
    """Have nobody wait any more for what a worker sends: it was given up."""
    for connection in [*_awaited.get(worker, ())]:
        with contextlib.suppress(OSError):
            # An SSLSocket's own would take from whoever reads what it reads with.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


@contextlib.contextmanager
def _awaiting(worker: str, connection: socket.socket) -> Iterator[None]:
    _awaited.setdefault(worker, set()).add(connection)
    try:
        yield
    finally:
        _awaited[worker].discard(connection)


def _receive(
    worker: str, place: Place, context: ssl.SSLContext | None, session: str, content: str
) -> Encoded | None:
    connection = socket.create_connection(place, CONNECT)
    connection.settimeout(None)
    _be_patient(connection)
    if context is not None:
        connection = context.wrap_socket(
            connection, server_hostname=place[0], do_handshake_on_connect=False
        )
    with connection, _awaiting(worker, connection):
        if isinstance(connection, ssl.SSLSocket):
            connection.do_handshake()
        connection.sendall(json.dumps([session, content]).encode() + b"\n")
        (length,) = struct.unpack("<Q", _filled(connection, 8))
        sizes = struct.unpack(f"<{length // 8}Q", _filled(connection, length))
        head, *rest = [_filled(connection, size) for size in sizes]
    parts = pickle.loads(head, buffers=rest)
    return None if parts is None else Encoded(*parts)


def _buffers(thing: Any) -> Sequence[memoryview]:
    beside: list[pickle.PickleBuffer] = []
    head = pickle.dumps(thing, protocol=5, buffer_callback=beside.append)
    return [memoryview(head), *[one.raw() for one in beside]]


def _filled(connection: socket.socket, size: int) -> Any:
    """Read so many bytes, into an array: NumPy's are aligned, and not zeroed first."""
    found = np.empty(size, dtype=np.uint8)
    room = found.data
    flags = 0 if isinstance(connection, ssl.SSLSocket) else socket.MSG_WAITALL
    while room:
        count = connection.recv_into(room, min(len(room), LONGEST), flags)
        if not count:
            raise ConnectionResetError("the connection was closed")
        room = room[count:]
    return found


def _be_patient(connection: socket.socket) -> None:
    """Let calls that block end when nothing moves; Python's own time-outs would read in bits."""
    limit = struct.pack("ll", int(PATIENCE), 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
