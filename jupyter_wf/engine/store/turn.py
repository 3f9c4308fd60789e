"""One process commits at a time, and learns whether strangers have since it last did."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("jupyter_wf.engine")
#: What file systems that have no locks say.
_LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
#: How many turns there were, since which of them all were of one owner, and its name.
_NAME = 64
_NOTE = struct.Struct(f"<QQ{_NAME}s")


class Turn:
    """A lock between processes that notes who had it.

    Who takes it names an owner: processes with one owner are told apart what to do, and needn't
    look at what the others of them did. Its holder may die at any moment: the system lets go of
    the lock, and the note was made before anything was done, so that the next one looks. Where the
    file system has no locks, everybody's turn is now: equal records may then come twice, which
    costs only their bytes.

    Parameters
    ----------
    path : Path
        A file, made if need be; nobody else writes to it. Raises `OSError`, as `taken` does.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o644)
        self._last = -1
        self._lockless = False

    @contextmanager
    def taken(self, owner: str) -> Iterator[bool]:
        """Hold the lock; yield whether other owners held it since this one last did here."""
        name = owner.encode()[:_NAME]
        self._lock(fcntl.LOCK_EX)
        try:
            found = os.pread(self._descriptor, _NOTE.size, 0).ljust(_NOTE.size, b"\0")
            count, since, last = _NOTE.unpack(found)
            mine = last.rstrip(b"\0") == name
            strangers = self._lockless or not mine or since > self._last
            self._last = count + 1
            since = since if mine else self._last
            os.pwrite(self._descriptor, _NOTE.pack(self._last, since, name), 0)
            yield strangers
        finally:
            self._lock(fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _lock(self, how: int) -> None:
        if self._lockless:
            return
        try:
            fcntl.flock(self._descriptor, how)
        except OSError as error:
            if error.errno not in _LOCKLESS:
                raise
            self._lockless = True
            logger.info("This file system has no locks: equal records may be written twice.")
