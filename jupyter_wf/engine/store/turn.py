"""One process commits at a time, and learns whether another has since it last did."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("jupyter_wf.engine")
#: What file systems that have no locks say.
_LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class Turn:
    """A lock between processes that counts who had it.

    Its holder may die at any moment: the system lets go of the lock, and the count was raised
    before anything was done, so that the next one looks. Where the file system has no locks,
    everybody's turn is now: equal records may then come twice, which costs only their bytes.

    Parameters
    ----------
    path : Path
        A file, made if need be; nobody else writes to it. Raises `OSError`, as `taken` does.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o644)
        self._count = -1
        self._lockless = False

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Hold the lock; yield whether others held it since this one last did."""
        self._lock(fcntl.LOCK_EX)
        try:
            found = int.from_bytes(os.pread(self._descriptor, 8, 0), "little")
            others = self._lockless or found != self._count
            self._count = found + 1
            os.pwrite(self._descriptor, self._count.to_bytes(8, "little"), 0)
            yield others
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
