"""The directory of a store: its layout on disk, who may be in it, and what goes wrong with it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_wf.engine.journal import is_writer_name, sync_directory, sync_file, writer_name
from jupyter_wf.engine.store.batch import check_id
from jupyter_wf.errors import StoreError

FORMAT = {"format": "jupyter_wf store", "version": 1}
_FORMAT_FILE = "format.json"
_REMEDY = {
    errno.ENOSPC: "The disk is full: free some space, or name a store elsewhere.",
    errno.EDQUOT: "Your quota is used up: free some space, or name a store elsewhere.",
    errno.EROFS: "The file system is read-only: name a store elsewhere.",
    errno.EACCES: "Permission is denied: change it, or name a store in a directory of yours.",
    errno.EPERM: "Permission is denied: change it, or name a store in a directory of yours.",
    errno.EMFILE: "Too many files are open: raise the limit (ulimit -n).",
}


class Root:
    """A store's directory.

    Parameters
    ----------
    path : Path
        Need not exist; nothing is made before `create`.

    Raises
    ------
    StoreError
        If it exists, is not empty and isn't a store, or is one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path.expanduser()))
        with self.guarded("open"):
            self._check()

    @property
    def journals(self) -> Path:
        """Where the journals are."""
        return self.path / "journal"

    @property
    def packs(self) -> Path:
        """Where the packs are."""
        return self.path / "packs"

    @property
    def turn(self) -> Path:
        """The file whose lock lets one process commit at a time."""
        return self.path / "turn"

    def value(self, content: str) -> Path:
        """Where a large value is."""
        check_id(content)
        return self.path / "data" / content[:2] / content

    @contextlib.contextmanager
    def guarded(self, verb: str) -> Iterator[None]:
        """Turn an `OSError` into a `StoreError` that names the path and the remedy."""
        try:
            yield
        except OSError as error:
            remedy = _REMEDY.get(error.errno or 0, "Check the path, or name a store elsewhere.")
            where = error.filename or self.path
            raise StoreError(
                f"Can't {verb} the store at {where}: {error.strerror}. {remedy}"
            ) from error

    def inside(self, path: Path) -> Path:
        """Return `path`; raise `StoreError` if links lead it out of the store."""
        real = os.path.realpath(path)
        if os.path.commonpath([real, self.path]) != str(self.path):
            raise StoreError(
                f"{path} leads out of the store, to {real}. Remove the link; a store has none."
            )
        return path

    def create(self) -> str:
        """Make what is missing of the directory, and room for a new writer; return its name."""
        for directory in (self.journals, self.packs, self.path / "data", self.path / "tmp"):
            directory.mkdir(parents=True, exist_ok=True)
            self.inside(directory)
        writer = writer_name()
        (self.path / "tmp" / writer).mkdir()
        if not (self.path / _FORMAT_FILE).exists():
            for name, text in ((_FORMAT_FILE, json.dumps(FORMAT) + "\n"), (".gitignore", "*\n")):
                self._write(writer, name, text)
            sync_directory(self.path)
            sync_directory(self.path.parent)
        self._sweep()
        return writer

    def temporary(self, writer: str, name: str) -> Path:
        """Return a path of a writer's own, on the same file system as the values."""
        return self.path / "tmp" / writer / name

    def publish(self, source: Path, content: str, *, replace: bool = False) -> None:
        """Give a value that was written at `source` its place, in one step, durably.

        If it is there already, ours is dropped, unless that one is to be replaced.
        """
        target = self.value(content)
        made = not target.parent.exists()
        target.parent.mkdir(exist_ok=True)
        self.inside(target.parent)
        sync_tree(source)
        if replace and target.exists():
            aside = source.with_name(f"{source.name}.old")
            with contextlib.suppress(FileNotFoundError):
                target.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        try:
            source.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            shutil.rmtree(source)
        sync_directory(target.parent)
        if made:
            sync_directory(target.parent.parent)

    def _check(self) -> None:
        file = self.path / _FORMAT_FILE
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise StoreError(f"{self.path} is a file. Name a directory for the store.")
        try:
            found = json.loads(file.read_text())
            version = int(found["version"])
            mine = found["format"] == FORMAT["format"]
        except FileNotFoundError:
            ours = {_FORMAT_FILE, "journal", "packs", "data", "tmp", "turn"}
            mine, version = ours.issuperset(path.name for path in self.path.iterdir()), 1
        except (ValueError, KeyError, TypeError):
            mine, version = False, 1
        if not mine:
            raise StoreError(
                f"{self.path} has other things in it and is no store of jupyter_wf. "
                f"Name an empty or new directory, such as {self.path / '.jupyter_wf'}."
            )
        if version != FORMAT["version"]:
            raise StoreError(
                f"{self.path} has store format {version}; this jupyter_wf knows "
                f"{FORMAT['version']}. Upgrade jupyter_wf, or name another store."
            )

    def _write(self, writer: str, name: str, text: str) -> None:
        path = self.temporary(writer, name)
        with path.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.replace(self.path / name)

    def _sweep(self) -> None:
        """Remove what writers of this machine left behind when they died."""
        for path in (self.path / "tmp").iterdir():
            host, _, rest = path.name.partition("-")
            pid = rest.partition("-")[0]
            ours = writer_name().partition("-")[0] == host
            if ours and is_writer_name(path.name) and pid.isdigit() and not _alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sync_tree(path: Path) -> None:
    """Make a directory, all files in it, and their names durable."""
    files: list[Path] = []
    directories: list[Path] = []
    for directory, _, names in os.walk(path):
        directories.append(Path(directory))
        files += [Path(directory, name) for name in names]
    if len(files) > 2:
        with ThreadPoolExecutor(min(8, len(files))) as pool:
            list(pool.map(_sync, files))
    else:
        for file in files:
            _sync(file)
    for found in reversed(directories):
        sync_directory(found)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def has_links(path: Path) -> bool:
    """Whether there is a symbolic link anywhere in a directory, or it is one itself."""
    return path.is_symlink() or any(
        Path(directory, name).is_symlink()
        for directory, below, names in os.walk(path)
        for name in (*below, *names)
    )
