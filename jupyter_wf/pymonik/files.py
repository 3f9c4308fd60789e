"""`Materialize`: a file or folder of the client's that a task finds at a path of the worker's.

Its content is immutable data of the session, so it travels like any other value, once to each
worker; equal content is one value, whatever it is called.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: A file's bytes, or those of a folder's files by their paths in it.
Content = npt.NDArray[np.uint8] | dict[str, npt.NDArray[np.uint8]]
Stamp = tuple[tuple[str, int, int], ...]
#: What this process found or put at each path: (hash of the content, sizes and times of the files).
_PLACED: dict[str, tuple[str, Stamp]] = {}


@dataclass
class Materialize:
    """A file or folder, and where a task finds it.

    Parameters
    ----------
    source_path, worker_path : str
        Where it is, and where it is to be.
    content_hash : str
        SHA-256 of the file; for a folder, of its files' paths and hashes.
    is_directory : bool
    result_id : str or None
        Id of its content, once that is uploaded.
    """

    source_path: str
    worker_path: str
    content_hash: str
    is_directory: bool
    result_id: str | None = None

    def __post_init__(self) -> None:
        self.source_path = str(Path(self.source_path).resolve())
        self.worker_path = str(Path(self.worker_path))


def materialize(source_path: str | Path, worker_path: str | Path) -> Materialize:
    """Describe a file or folder, to be passed to tasks as an argument.

    Parameters
    ----------
    source_path : str or Path
        A file or a folder of this machine.
    worker_path : str or Path
        Where tasks find it; relative to the worker's directory unless absolute.

    Raises
    ------
    FileNotFoundError
        There is nothing at `source_path`.
    ValueError
        It is neither a file nor a folder.
    """
    source = Path(source_path)
    if not source.exists():
        raise FileNotFoundError(f"There is nothing at {source}, which was to be materialized.")
    if not source.is_file() and not source.is_dir():
        raise ValueError(f"{source} is neither a file nor a folder.")
    return Materialize(str(source), str(worker_path), hash_of(read(source)), source.is_dir())


def read(path: Path) -> Content:
    """Return the content of a file or folder; links in it are followed, empty folders left out."""
    if path.is_dir():
        return {str(file.relative_to(path)): np.fromfile(file, np.uint8) for file in _files(path)}
    return np.fromfile(path, np.uint8)


def hash_of(content: Content) -> str:
    """Return the SHA-256 of a file, or of the sorted lines ``hash path`` of a folder."""
    if isinstance(content, dict):
        lines = [f"{hash_of(data)} {name}\n" for name, data in sorted(content.items())]
        return sha256("".join(lines).encode()).hexdigest()
    return sha256(content.data).hexdigest()


def placed(mat: Materialize) -> bool:
    """Whether the right content is where a task looks for it."""
    path = Path(mat.worker_path)
    if not (path.is_dir() if mat.is_directory else path.is_file()):
        return False
    stamp = _stamp(path)
    if _PLACED.get(mat.worker_path) != (mat.content_hash, stamp):
        if hash_of(read(path)) != mat.content_hash:
            return False
        _PLACED[mat.worker_path] = (mat.content_hash, stamp)
    return True


def place(mat: Materialize, content: Any) -> None:
    """Put content, read-only, where a task looks for it; another worker may do so meanwhile.

    Raises `OSError` if it can't be written.
    """
    path = Path(mat.worker_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        new = aside / "new"
        for name, data in content.items() if mat.is_directory else [("", content)]:
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            np.asarray(data).tofile(file)
            file.chmod(0o444)
        new.mkdir(exist_ok=True) if mat.is_directory else None
        if path.is_dir():
            # A folder is replaced by no other; whatever was there is thrown away with `aside`.
            path.rename(aside / "old")
        try:
            new.replace(path)
        except OSError:
            if not placed(mat):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _PLACED[mat.worker_path] = (mat.content_hash, _stamp(path))


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file())


def _stamp(path: Path) -> Stamp:
    files = _files(path) if path.is_dir() else [path]
    found = [(str(file), os.stat(file)) for file in files]  # noqa: PTH116 - follows links
    return tuple([(name, about.st_size, about.st_mtime_ns) for name, about in found])
