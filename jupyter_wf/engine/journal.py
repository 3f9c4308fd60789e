"""Append-only files of framed, checksummed records: one file per writer, replayed by anyone.

A frame is ``4sII``, little-endian: the magic number, the payload's length, the crc32 of magic
number and payload; then the payload. A writer adds a group of frames by one write and one fsync. A
reader remembers how far it came in each file. A tail that was torn or filled with zeros by a crash
holds no valid frame and is passed over; so is damage in the middle, up to the next whole frame.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack

MAGIC = b"\x89wf\n"
HEADER = struct.Struct("<4sII")
#: What a checksum starts from, so that a header whose rest is zeros is not an empty frame.
_SEED = crc32(MAGIC)
SUFFIX = ".journal"
#: Flush data and size; metadata such as times need not be durable.
sync_file = getattr(os, "fdatasync", os.fsync)
_WRITER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")


def writer_name() -> str:
    """Make up a name for a writer, ``<host>-<pid>-<nonce>``, that no other writer has."""
    host = re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname())[:60] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def is_writer_name(name: str) -> bool:
    """Whether `name` can be a writer's: a plain file name that doesn't start with a dot."""
    return _WRITER.fullmatch(name) is not None


class _Local(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        # Its buffer of a quarter of a megabyte takes longer to make than most items to serialise.
        self.packer = msgpack.Packer(unicode_errors="surrogatepass")


_local = _Local()


def pack(item: Any) -> bytes:
    """Serialise lists, dicts, text, numbers and bytes."""
    return bytes(_local.packer.pack(item))


def unpack(payload: bytes | memoryview) -> Any:
    """Undo `pack`, with tuples for lists; raises `ValueError` for bytes that it didn't write."""
    return msgpack.unpackb(
        payload, unicode_errors="surrogatepass", strict_map_key=False, use_list=False
    )


def frame(payload: bytes) -> bytes:
    """Return a payload in its frame."""
    return HEADER.pack(MAGIC, len(payload), crc32(payload, _SEED)) + payload


def scan(data: bytes) -> tuple[list[bytes], int]:
    """Return the payloads of all whole frames, and where the last of them ends.

    Examples
    --------
    >>> whole = frame(b"ab")
    >>> scan(whole + b"torn" + whole + whole[:-1])
    ([b'ab', b'ab'], 32)
    """
    found: list[bytes] = []
    good = position = 0
    size, header = len(data), HEADER.size
    while position + header <= size:
        magic, length, crc = HEADER.unpack_from(data, position)
        end = position + header + length
        if magic == MAGIC and end <= size:
            payload = data[position + header : end]
            if crc32(payload, _SEED) == crc:
                found.append(payload)
                good = position = end
                continue
        position = data.find(MAGIC, position + 1)
        if position < 0:
            break
    return found, good


def read_frame(descriptor: int, offset: int, length: int) -> bytes | None:
    """Read the payload of the frame at `offset`, `length` bytes in all; None if it isn't whole."""
    data = os.pread(descriptor, length, offset)
    found, good = scan(data)
    return found[0] if len(found) == 1 and good == length else None


class FrameFile:
    """A file that this process alone appends to.

    Parameters
    ----------
    path : Path
        Must not exist; its directory must. Raises `OSError`, as `append` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o644)
        self._size = 0
        sync_directory(path.parent)

    def append(self, payloads: Sequence[bytes]) -> list[tuple[int, int]]:
        """Add frames, durable when this returns; return the (offset, length) of each.

        If that fails, none of them is in the file, as far as the system lets us take them back.
        """
        places: list[tuple[int, int]] = []
        parts: list[bytes] = []
        at = self._size
        for payload in payloads:
            parts.append(frame(payload))
            places.append((at, len(parts[-1])))
            at += len(parts[-1])
        data = memoryview(b"".join(parts))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            sync_file(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size = at
        return places

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class JournalReader:
    """Reads the journals of a directory, each time from where it last stopped.

    Parameters
    ----------
    directory : Path
        May not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, tuple[int, int]] = {}
        self._skipped: set[str] = set()

    def skip(self, writer: str) -> None:
        """Leave out the journal of a writer whose items are known already: one's own."""
        self._skipped.add(writer)

    def refresh(self) -> Iterator[tuple[str, list[Any]]]:
        """Yield (writer, new items) for every journal that has any; one stat per file if none."""
        try:
            entries = list(os.scandir(self._directory))
        except FileNotFoundError:
            return
        for entry in sorted(entries, key=lambda e: e.name):
            writer = entry.name.removesuffix(SUFFIX)
            if writer == entry.name or writer in self._skipped or not is_writer_name(writer):
                continue
            if not entry.is_file(follow_symlinks=False):
                continue
            size = entry.stat(follow_symlinks=False).st_size
            good, seen = self._read.get(writer, (0, -1))
            if size == seen:
                continue
            if size < good:
                good = 0  # Another file came under this name: items may repeat, none is missed.
            with Path(entry.path).open("rb") as file:
                file.seek(good)
                data = file.read()
            payloads, length = scan(data)
            self._read[writer] = (good + length, good + len(data))
            items = [item for item in map(_unpack_or_none, payloads) if item is not None]
            if items:
                yield writer, items


def _unpack_or_none(payload: bytes) -> Any:
    try:
        return unpack(payload)
    except (ValueError, TypeError):
        return None


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
