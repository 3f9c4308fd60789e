from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Thread

import pytest

from jupyter_wf.engine.store.direct import BLOCK, LEAST, ROOM, write_file

SIZES = [0, 1, LEAST - 1, LEAST, LEAST + 1, ROOM, ROOM + 1, ROOM + BLOCK, 3 * ROOM - 7]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_has_what_was_written(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    for given in (data, memoryview(data)):
        write_file(tmp_path / "file", given)
        assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("where", ["open", "pwrite"])
def test_where_the_cache_can_not_be_passed_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    real = getattr(os, where)
    tried = []

    def refuse(*arguments: object) -> object:
        if where == "open" and not arguments[1] & os.O_DIRECT:
            return real(*arguments)
        tried.append(where)
        raise OSError(errno.EINVAL, "not here")

    data = os.urandom(LEAST)
    monkeypatch.setattr(os, where, refuse)
    write_file(tmp_path / "file", data)
    monkeypatch.undo()
    assert tried or not hasattr(os, "O_DIRECT")
    assert (tmp_path / "file").read_bytes() == data


def test_writers_do_not_share_a_buffer(tmp_path: Path) -> None:
    given = [bytes([i]) * (2 * ROOM) for i in range(8)]
    threads = [
        Thread(target=write_file, args=(tmp_path / str(i), data)) for i, data in enumerate(given)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / str(i)).read_bytes() for i in range(8)] == given
