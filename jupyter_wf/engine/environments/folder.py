"""The folder of this user and host in which locks and overlays are kept, shared by all processes.

What appears there under its final name is complete: it is made beside it and renamed. Nothing in it
is needed to read results, so it may be deleted whenever no task runs. Who makes something holds its
lock file alone, who uses it shares that; what has not been used for long is swept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from jupyter_wf.errors import PackageError

VARIABLE = "JUPYTER_WF_CACHE"
#: Seconds between two looks at a lock that another process holds.
LOOK = 0.1
MAKING = ".making-"
#: Seconds for which what nobody uses is kept.
KEPT = 30 * 24 * 3600.0


def folder(*names: str) -> Path:
    """Return a folder of the cache, made if need be.

    It is ``$JUPYTER_WF_CACHE``, or ``jupyter_wf`` in the user's folder for caches. Raises
    `PackageError` if it can't be made.
    """
    own = os.environ.get(VARIABLE)
    usual = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(own).expanduser() if own else Path(usual).expanduser() / "jupyter_wf"
    found = root.absolute().joinpath(*names)
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PackageError(
            f"Environments can't be kept in {found}: {error.strerror or error}. "
            f"Set {VARIABLE} to a folder of yours."
        ) from error
    return found


@contextmanager
def alone(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file at `path`, which ends with this process however it ends; note the time.

    Parameters
    ----------
    path : Path
    waiting : callable
        Called once if another process holds it.
    """
    with path.open("a") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    told = True
                    waiting()
                time.sleep(LOOK)
        os.utime(path)
        yield


@contextmanager
def making(final: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `final` when the block ends well, else nothing.

    Call it `alone`: what a killed process left half made for `final` is removed.
    """
    for left in final.parent.glob(f"{final.name}{MAKING}*"):
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=final.parent, prefix=f"{final.name}{MAKING}"))
    try:
        yield made
        made.rename(final)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def using(path: Path) -> IO[str]:
    """Share the lock file at `path`, and note the time; to close what is returned lets it go."""
    file = path.open("a+")
    fcntl.flock(file, fcntl.LOCK_SH)
    os.utime(path)
    return file


def sweep(place: Path) -> None:
    """Remove from a folder what nobody uses, and nobody has used for long."""
    for lock in place.glob("*.lock"):
        if time.time() - lock.stat().st_mtime < KEPT:
            continue
        with lock.open("a") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            final = lock.with_suffix("")
            if final.exists():
                # At once for all who look, before it is removed file by file.
                final.rename(f"{final}{MAKING}old")
            for left in place.glob(f"{final.name}{MAKING}*"):
                shutil.rmtree(left, ignore_errors=True)
            final.with_suffix(".failed").unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}{MAKING}")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
