"""The store in a directory: large values as Zarr, small ones packed, and journals of both.

Order is what makes a commit atomic: the bytes of values are durable, then the journal's record of
them is, and only a journal makes a value visible. Whatever a crash leaves half done is invisible.
Records are added by one process at a time, which first reads what others added: where two computed
the same, the first commit stands.

Presence is checked cheaply: a value counts as there if a journal says so and its directory or pack
was there when first asked after the last `refresh`. So a value may vanish after it was found; `get`
then raises `MissingValueError` and forgets it, `find` no longer returns its record, and whoever
asked computes it again.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from jupyter_wf.encodings import Encoded, content_id, encode
from jupyter_wf.engine.abc import Store
from jupyter_wf.engine.journal import SUFFIX, FrameFile, JournalReader, pack
from jupyter_wf.engine.store import packs
from jupyter_wf.engine.store.batch import check_id, encoded_values, missing_value, unknown
from jupyter_wf.engine.store.index import Index, Parts, is_row, to_row
from jupyter_wf.engine.store.root import Root, has_links
from jupyter_wf.engine.store.turn import Turn
from jupyter_wf.errors import CorruptValueError, MissingValueError, StoreError
from jupyter_wf.records import Growth, Item, Record, Stored

#: From this many encoded bytes on, a value is a directory of its own.
LARGE = 1_000_000


#: Where a value is: kind, nbytes, summary, pack or None, offset, length.
Place: TypeAlias = tuple[str, int, str, str | None, int, int]


@dataclass(slots=True)
class _Writer:
    """The files that this process appends to; `parts` numbers what its journal already tells."""

    name: str
    pid: int
    journal: FrameFile
    pack: FrameFile
    parts: dict[Parts, int]
    turn: Turn


class LocalZarrStore(Store):
    """A store in a directory, shared by any number of processes.

    Parameters
    ----------
    path : Path

    Raises
    ------
    StoreError
        If the directory is something else, or can't be read.
    """

    shared = True

    def __init__(self, path: Path) -> None:
        self._root = Root(path)
        self.url = self._root.path.as_uri()
        self._packs = packs.Packs(self._root)
        self._reader = JournalReader(self._root.journals)
        self._index = Index()
        self._places: dict[str, Place] = {}
        self._other_places: dict[str, list[Place]] = {}
        self._parts: dict[str, list[int]] = {}
        self._growths: dict[str, bytes] = {}
        self._seen: set[str] = set()
        self._spoiled: set[str] = set()
        self._writer: _Writer | None = None
        self._lock = threading.RLock()
        self._committing = threading.Lock()
        self._count = 0
        self.refresh()

    # -- what others did ---------------------------------------------------------------------------

    def refresh(self) -> None:
        """See `Store.refresh`; one stat per journal."""
        with self._lock, self._root.guarded("read"):
            self._root.inside(self._root.journals)
            self._packs.refresh()
            self._seen.clear()
            self._catch_up()

    def _catch_up(self) -> None:
        for writer, groups in self._reader.refresh():
            for group in groups:
                for item in group if isinstance(group, tuple) else ():
                    self._learn(writer, item)

    def _learn(self, writer: str, item: Any) -> None:
        match item:
            case ("r", *row) if is_row(row):
                known = self._parts.get(writer, ())
                key, recipe, name, time, number, rest = row
                self._growths.pop(key, None)
                if 0 <= number < len(known):
                    self._index.add((key, recipe, name, time, known[number], rest))
            case ("v", str(content), kind, nbytes, summary, name, offset, length):
                place = (kind, nbytes, summary, name, offset, length)
                old = self._places.setdefault(content, place)
                if old is not place:
                    self._other_places.setdefault(content, []).append(old)
                    self._places[content] = place
            case ("g", str(key), bytes(packed)):
                self._growths[key] = packed
            case ("p", tuple(parts)):
                self._parts.setdefault(writer, []).append(self._index.add_parts(parts))
            case _:
                pass  # Of a later version: what we don't know, we don't use.

    # -- look up -----------------------------------------------------------------------------------

    def find(self, key: str) -> Record | None:
        """See `Store.find`."""
        return self._index.by_key(key, self._present)

    def find_recipe(self, recipe: str) -> Record | None:
        """See `Store.find_recipe`."""
        return self._index.by_recipe(recipe, self._present)

    def growth(self, key: str) -> bytes | None:
        """See `Store.growth`."""
        return self._growths.get(key)

    def last(self, name: str) -> Record | None:
        """See `Store.last`."""
        return self._index.last(name)

    def records(self) -> Iterable[Record]:
        """See `Store.records`."""
        return self._index.records()

    def stored(self, content: str) -> Stored | None:
        """See `Store.stored`."""
        place = self._place(check_id(content))
        return None if place is None else Stored(content, *place[:3])

    def _present(self, content: str) -> bool:
        return content in self._seen or self._place(content) is not None

    def _place(self, content: str) -> Place | None:
        """Return where a value is, if it is there."""
        place = self._places.get(content)
        if place is None or self._holds(content, place):
            return place
        others = (p for p in self._other_places.get(content, ()) if self._holds(content, p))
        return next(others, None)

    def _holds(self, content: str, place: Place) -> bool:
        name, offset, length = place[3:]
        if name is not None:
            there = self._packs.holds(name, offset + length)
        else:
            there = content not in self._spoiled and self._root.value(content).is_dir()
        if there:
            self._seen.add(content)
        return there

    # -- read --------------------------------------------------------------------------------------

    def encoded(self, content: str) -> Encoded:
        """See `Store.encoded`; looks once more at what others wrote before it gives up."""
        return self._verified(check_id(content))

    def zarr(self, content: str) -> Any:
        """See `Store.zarr`; a large value is opened where it is, and its hash is not verified."""
        from jupyter_wf.engine.store import layout

        place = self._place(check_id(content))
        if place is not None and place[3] is None:
            with self._root.guarded("read"):
                return layout.open_value(str(self._value_path(content)))
        return layout.in_memory(self._verified(content))

    def _verified(self, content: str) -> Encoded:
        if self._place(content) is None:
            self.refresh()
        error: StoreError = MissingValueError(
            f"The store at {self._root.path} does not hold the value {content}. Compute it again."
        )
        while (place := self._place(content)) is not None:
            try:
                with self._root.guarded("read"):
                    return self._read(content, place)
            except (MissingValueError, CorruptValueError) as found:
                error = found
                self._forget(content, place)
        raise error

    def _read(self, content: str, place: Place) -> Encoded:
        _, _, _, name, offset, length = place
        if name is None:
            encoded = self._read_large(content)
        else:
            encoded = self._packs.read(name, offset, length, content)
        if content_id(encoded.kind, encoded.text, encoded.leaves) != content:
            raise CorruptValueError(
                f"The bytes of value {content} in {self._root.path} have changed since they were "
                f"committed. Compute it again."
            )
        return encoded

    def _read_large(self, content: str) -> Encoded:
        from jupyter_wf.engine.store import layout

        path = self._value_path(content)
        try:
            return layout.read(layout.open_value(str(path)))
        except Exception as error:
            # Zarr and its codecs raise all sorts of errors for what is damaged or half gone.
            if not path.is_dir():
                raise MissingValueError(
                    f"The value {content} was in {path}, which is gone. Compute it again."
                ) from error
            if isinstance(error, PermissionError):
                raise
            raise CorruptValueError(
                f"The value {content} in {path} is damaged ({type(error).__name__}: {error}). "
                f"Compute it again."
            ) from error

    def _value_path(self, content: str) -> Path:
        path = self._root.inside(self._root.value(content))
        if has_links(path):
            raise StoreError(f"{path} has links in it. Remove them; a store has none.")
        return path

    def _forget(self, content: str, place: Place) -> None:
        """Don't use this place again; a directory there is replaced at the next write."""
        with self._lock:
            if place[3] is None:
                self._spoiled.add(content)
            self._seen.discard(content)
            others = self._other_places.pop(content, [])
            places = [p for p in (*others, self._places.pop(content, place)) if p is not place]
            if places:
                self._places[content] = places.pop()
                self._other_places[content] = places

    # -- write -------------------------------------------------------------------------------------

    def put(self, value: Any) -> Stored:
        """See `Store.put`."""
        encoded = encode(value)
        if not self._present(encoded.id):
            self._write({encoded.id: encoded}, ())
        return encoded.stored

    def commit(self, batch: Sequence[tuple[Item, Mapping[str, Any]]], owner: str = "") -> None:
        """See `Store.commit`; one fsync for all small values and one for all records."""
        new: dict[str, Encoded] = {}
        for record, values in batch:
            for content, encoded in encoded_values(record, values).items():
                if content not in new and not self._present(content):
                    new[content] = encoded
        records = [record for record, _ in batch if isinstance(record, Record)]
        growths = [item for item, _ in batch if isinstance(item, Growth)]
        for record in records:
            for output, stored in record.outputs:
                if stored.id not in new and not self._present(stored.id):
                    self.refresh()  # another process may just have written it
                    if not self._present(stored.id):
                        raise missing_value(record, output)
        self._write(new, records, growths, owner)

    def _write(
        self,
        values: Mapping[str, Encoded],
        records: Sequence[Record],
        growths: Sequence[Growth] = (),
        owner: str = "",
    ) -> None:
        with self._root.guarded("write to"):
            writer = self._ready_writer()
            large = {c: e for c, e in values.items() if e.nbytes >= LARGE}
            for content, encoded in large.items():
                self._write_large(writer, content, encoded)
            small = [(c, e) for c, e in values.items() if c not in large]
            with self._committing:
                try:
                    places = writer.pack.append([packs.to_payload(e) for _, e in small])
                    with writer.turn.taken(owner or writer.name) as strangers, self._lock:
                        if strangers:
                            self._catch_up()
                        new = unknown(records, self.find)
                        self._append(writer, large, small, places, new, growths)
                except OSError:
                    # Its files may be in any state: leave them, and begin new ones next time.
                    with self._lock:
                        self._let_go()
                    raise

    def _write_large(self, writer: _Writer, content: str, encoded: Encoded) -> None:
        from jupyter_wf.engine.store import layout

        with self._lock:
            self._count += 1
            path = self._root.temporary(writer.name, f"{content}.{self._count}")
        try:
            layout.write(encoded, str(path))
            self._root.publish(path, content, replace=content in self._spoiled)
        finally:
            shutil.rmtree(path, ignore_errors=True)
        self._spoiled.discard(content)

    def _append(
        self,
        writer: _Writer,
        large: Mapping[str, Encoded],
        small: Sequence[tuple[str, Encoded]],
        places: Sequence[tuple[int, int]],
        records: Sequence[Record],
        growths: Sequence[Growth],
    ) -> None:
        items: list[tuple[Any, ...]] = [
            ("v", c, e.kind, e.nbytes, e.summary, None, 0, 0) for c, e in large.items()
        ]
        for (content, encoded), place in zip(small, places, strict=True):
            about = (encoded.kind, encoded.nbytes, encoded.summary)
            items.append(("v", content, *about, writer.name, *place))
        for record in records:
            number = writer.parts.get(record.parts)
            if number is None:
                number = writer.parts[record.parts] = len(writer.parts)
                items.append(("p", record.parts))
            items.append(("r", *to_row(record, number)))
        items += [("g", growth.key, growth.packed) for growth in growths]
        if not items:
            return
        writer.journal.append([pack(items)])
        for item in items:
            self._learn(writer.name, item)

    def _ready_writer(self) -> _Writer:
        with self._lock:
            writer = self._writer
            if writer is None or writer.pid != os.getpid():
                name = self._root.create()
                journal = FrameFile(self._root.journals / f"{name}{SUFFIX}")
                pack_file = FrameFile(self._root.packs / f"{name}{packs.SUFFIX}")
                self._reader.skip(name)
                turn = Turn(self._root.turn)
                writer = self._writer = _Writer(name, os.getpid(), journal, pack_file, {}, turn)
            return writer

    def close(self) -> None:
        """See `Store.close`."""
        with self._lock:
            self._let_go()
            self._packs.close()

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and writer.pid == os.getpid():
            writer.journal.close()
            writer.pack.close()
            writer.turn.close()
            shutil.rmtree(self._root.temporary(writer.name, ""), ignore_errors=True)
