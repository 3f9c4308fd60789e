"""Journals: groups of frames, read from where one stopped, whatever a crash left at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.engine.journal import (
    MAGIC,
    FrameFile,
    JournalReader,
    frame,
    is_writer_name,
    pack,
    read_frame,
    scan,
    unpack,
    writer_name,
)

payloads = st.lists(st.binary(max_size=40), max_size=6)


@given(payloads)
def test_all_frames_come_back(items: list[bytes]) -> None:
    data = b"".join(map(frame, items))
    assert scan(data) == (items, len(data))


@given(payloads, st.binary(max_size=40), st.integers(0, 200), st.booleans())
def test_a_torn_or_zeroed_tail_is_passed_over(
    items: list[bytes], last: bytes, cut: int, zeros: bool
) -> None:
    data = b"".join(map(frame, items))
    torn = frame(last)
    kept = torn[: cut % len(torn)]
    tail = kept + bytes(len(torn) - len(kept)) if zeros else kept
    found, good = scan(data + tail)
    if tail == torn:
        items, data = [*items, last], data + torn
    assert (found, good) == (items, len(data))


@given(payloads, st.integers(0), st.integers(1, 255))
def test_one_damaged_byte_costs_at_most_one_frame(items: list[bytes], at: int, flip: int) -> None:
    data = bytearray(b"".join(map(frame, items)))
    if not data:
        return
    data[at % len(data)] ^= flip
    found, _ = scan(bytes(data))
    assert len(found) == len(items) - 1
    rest = iter(items)
    assert all(payload in rest for payload in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text(),
        lambda inner: st.lists(inner, max_size=3).map(tuple),
    )
)
def test_what_is_packed_comes_back(item: object) -> None:
    assert unpack(pack(item)) == item


def test_text_that_is_no_unicode_is_kept() -> None:
    assert unpack(pack("\ud800")) == "\ud800"


def test_a_header_before_zeros_is_no_frame() -> None:
    assert scan(MAGIC + bytes(100)) == ([], 0)


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    assert list(reader.refresh()) == []
    one = FrameFile(tmp_path / "a-1-x.journal")
    one.append([pack(1), pack(2)])
    assert list(reader.refresh()) == [("a-1-x", [1, 2])]
    assert list(reader.refresh()) == []
    two = FrameFile(tmp_path / "b-1-x.journal")
    two.append([pack(3)])
    one.append([pack(4)])
    assert list(reader.refresh()) == [("a-1-x", [4]), ("b-1-x", [3])]
    one.close()
    two.close()


def test_a_reader_waits_for_the_rest_of_a_frame(tmp_path: Path) -> None:
    whole = frame(pack("whole")) + frame(pack("late"))
    path = tmp_path / "a-1-x.journal"
    path.write_bytes(whole[:-3])
    reader = JournalReader(tmp_path)
    assert list(reader.refresh()) == [("a-1-x", ["whole"])]
    path.write_bytes(whole)
    assert list(reader.refresh()) == [("a-1-x", ["late"])]


def test_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(frame(pack(1)))
    (tmp_path / ".a.journal").write_bytes(frame(pack(1)))
    elsewhere = tmp_path.with_name("elsewhere")
    elsewhere.write_bytes(frame(pack(1)))
    (tmp_path / "link.journal").symlink_to(elsewhere)
    assert list(JournalReader(tmp_path).refresh()) == []


def test_one_does_not_read_oneself(tmp_path: Path) -> None:
    mine = FrameFile(tmp_path / "a-1-x.journal")
    mine.append([pack(1)])
    mine.close()
    reader = JournalReader(tmp_path)
    reader.skip("a-1-x")
    assert list(reader.refresh()) == []


def test_frames_are_read_by_their_places(tmp_path: Path) -> None:
    file = FrameFile(tmp_path / "a.pack")
    places = file.append([b"one", b""]) + file.append([b"three"])
    file.close()
    descriptor = os.open(tmp_path / "a.pack", os.O_RDONLY)
    try:
        assert [read_frame(descriptor, *place) for place in places] == [b"one", b"", b"three"]
        assert read_frame(descriptor, places[0][0] + 1, places[0][1]) is None
        assert read_frame(descriptor, places[2][0], places[2][1] + 1) is None
    finally:
        os.close(descriptor)


def test_a_failed_append_takes_itself_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = FrameFile(tmp_path / "a-1-x.journal")
    file.append([pack("kept")])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("jupyter_wf.engine.journal.sync_file", full)
        with pytest.raises(OSError, match="No space"):
            file.append([pack("lost")])
    file.append([pack("next")])
    file.close()
    assert list(JournalReader(tmp_path).refresh()) == [("a-1-x", ["kept", "next"])]


def test_writers_have_names_of_their_own() -> None:
    names = {writer_name() for _ in range(100)}
    assert len(names) == 100
    assert all(map(is_writer_name, names))


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a\n", "x" * 200])
def test_a_path_is_no_writer(name: str) -> None:
    assert not is_writer_name(name)
