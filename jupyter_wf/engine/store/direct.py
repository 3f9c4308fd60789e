"""Writes files past the page cache: what is made durable at once gains nothing from a copy there.

The copy would cost the processor more than all else about a commit, and push out of the cache what
the user's own programs read. Where a file system can't do it, files are written as usual.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

#: From this many bytes on it is worth it.
LEAST = 1_000_000
#: What the device wants addresses, positions and lengths to be multiples of.
BLOCK = 4096
ROOM = 1024 * BLOCK
_FLAG = getattr(os, "O_DIRECT", 0)
_buffers: SimpleQueue[mmap.mmap] = SimpleQueue()


def write_file(path: Path, data: Any) -> None:
    """Write a new file; not durable before it is synced.

    Parameters
    ----------
    path : Path
    data : bytes or buffer of bytes
    """
    if _FLAG and len(data) >= LEAST:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAG, 0o666)
        except OSError:
            pass  # not on this file system; what else may be wrong is wrong below as well
        else:
            try:
                with suppress(OSError), _aligned() as buffer:
                    _copy(descriptor, memoryview(data), buffer)
                    return
            finally:
                os.close(descriptor)
    path.write_bytes(data)


def _copy(descriptor: int, data: memoryview, buffer: mmap.mmap) -> None:
    """Write through an aligned buffer, whole blocks only, then cut off what is too much."""
    size = len(data)
    with memoryview(buffer) as room:
        for start in range(0, size, ROOM):
            part = data[start : start + ROOM]
            room[: len(part)] = part
            length = -(-len(part) // BLOCK) * BLOCK
            done = 0
            while done < length:
                with room[done:length] as rest:
                    done += os.pwrite(descriptor, rest, start + done)
    os.ftruncate(descriptor, size)


@contextmanager
def _aligned() -> Iterator[mmap.mmap]:
    """Lend a buffer at the start of a page; there are as many as there were writers at once."""
    try:
        buffer = _buffers.get_nowait()
    except Empty:
        buffer = mmap.mmap(-1, ROOM)
    try:
        yield buffer
    finally:
        _buffers.put(buffer)
