"""Files and folders that go with a task: what they are told apart by, and where they are put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.pymonik import (
    Materialize,
    Pymonik,
    materialize,
    task,
)
from jupyter_wf.pymonik.files import hash_of, place, placed, read


@task
def read_file(mat: Materialize) -> str:
    return Path(mat.worker_path).read_text()


@task
def pass_a_file(mat: Materialize) -> Any:
    return read_file.invoke(mat, delegate=True)


def test_a_hash_is_of_content_alone(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text(text)
    first, same, other = (materialize(tmp_path / name, "/there") for name in "abc")
    assert first.content_hash == same.content_hash != other.content_hash
    (tmp_path / "b" / "deep" / "file").rename(tmp_path / "b" / "file")
    assert materialize(tmp_path / "b", "/there").content_hash != first.content_hash
    assert not materialize(tmp_path / "c" / "deep" / "file", "/there").is_directory
    with pytest.raises(FileNotFoundError, match="nothing at"):
        materialize(tmp_path / "nowhere", "/there")


@pytest.mark.parametrize("folder", [True, False])
def test_what_is_in_the_way_is_replaced_once(tmp_path: Path, folder: bool) -> None:
    source, target = tmp_path / "source", tmp_path / "put" / "target"
    if folder:
        (source / "deep").mkdir(parents=True)
        (source / "deep" / "file").write_text("new")
        target.mkdir(parents=True)
        (target / "old").write_text("old")
    else:
        source.write_text("new")
        target.parent.mkdir()
        target.write_text("old")
    mat = materialize(source, target)
    assert not placed(mat)
    place(mat, read(source))
    assert placed(mat)
    assert hash_of(read(target)) == mat.content_hash
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    file = target / "deep" / "file" if folder else target
    assert file.stat().st_mode & 0o222 == 0
    file.chmod(0o644)
    file.write_text("spoilt")
    assert not placed(mat)


def test_a_file_that_was_edited_is_not_sent_as_what_it_was(
    session: Pymonik, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("one")
    mat = materialize(tmp_path / "file", tmp_path / "put")
    (tmp_path / "file").write_text("two")
    with pytest.raises(ValueError, match="edited"):
        read_file.invoke(mat)
    same = session.upload_materialize(materialize(tmp_path / "file", tmp_path / "put"))
    again = session.upload_materialize(materialize(tmp_path / "file", tmp_path / "elsewhere"))
    assert same.result_id == again.result_id


def test_files_are_passed_on(session: Pymonik, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    mat = materialize(tmp_path / "file", tmp_path / "put")
    assert pass_a_file.invoke(mat).get() == "text"
