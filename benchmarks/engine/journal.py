"""What a record costs to write, in groups of 64, and to read again."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.engine.sizes import Sizes
from jupyter_wf.encodings import encode
from jupyter_wf.engine.journal import FrameFile, JournalReader, pack
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.store.index import to_row
from jupyter_wf.fingerprint import digest
from jupyter_wf.records import Record

GROUP = 64
NOTES = [
    f"journal: {GROUP} records in a group, with one fsync each; replay: a store that is opened"
]


def rows(sizes: Sizes) -> list[dict[str, Any]]:
    """Measure the journal by itself, and the replay of a store."""
    value = encode(1.5)
    record = Record(
        "", "", "task-0", (("function", digest("f")),), (("in0", digest("k"), value.id),),
        (("result", value.stored),), "s-0", "host", "tcp://127.0.0.1:1", 0.1,
    )  # fmt: skip
    records = [
        replace(record, key=digest("k", str(i)), recipe=digest("r", str(i)), name=f"task-{i}")
        for i in range(sizes.records)
    ]
    groups = [records[i : i + GROUP] for i in range(0, len(records), GROUP)]
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "journal")
        directory.mkdir()
        file = FrameFile(directory / "writer.journal")
        began = time.perf_counter()
        for group in groups:
            file.append([pack([("r", *to_row(one, 0)) for one in group])])
        written = (time.perf_counter() - began) / len(records)
        file.close()
        began = time.perf_counter()
        read = sum(len(items) for _, found in JournalReader(directory).refresh() for items in found)
        scanned = time.perf_counter() - began
        assert read == len(records)

        store = open_store(Path(folder, "store"))
        for start in range(0, len(records), 1000):
            some = records[start : start + 1000]
            store.commit([(one, {value.id: value}) for one in some])
        store.close()
        began = time.perf_counter()
        again = open_store(Path(folder, "store"))
        opened = time.perf_counter() - began
        assert again.find(records[-1].key) is not None
        again.close()
    return [
        {"name": "journal, a record", "seconds": written, "tasks": len(records)},
        {"name": "journal, read", "seconds": scanned, "tasks": len(records)},
        {"name": "replay of a store", "seconds": opened, "tasks": len(records)},
    ]
