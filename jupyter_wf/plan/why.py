"""Says in words why a task runs, or why it need not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from jupyter_wf.fingerprint import Keys
from jupyter_wf.graph import Task
from jupyter_wf.records import Record

MAX_REASONS = 3


def differences(record: Record, task: Task, keys: Keys) -> list[str]:
    """Say in words how a task differs from an execution of it that was recorded."""
    old, new = dict(record.parts), dict(task.code.parts)
    found = [
        _changed(part, old.get(part), new.get(part))
        for part in sorted({*old, *new}, key=lambda part: (part != "body", part))
        if old.get(part) != new.get(part)
    ]
    read = {slot: key for slot, key, _ in record.inputs}
    for slot, data in task.inputs:
        if slot not in read:
            found.append(f"input {data} is new")
        elif read[slot] != keys.data.get(data):
            found.append(f"input {data} changed")
    now = dict(task.inputs)
    found += [f"input {slot} is no longer read" for slot in read if slot not in now]
    if not found and record.key == keys.tasks.get(task.name):
        return ["its stored values are gone"]
    return found or ["its arguments changed"]


def _changed(part: str, old: str | None, new: str | None) -> str:
    kind, _, name = part.partition(" ")
    if part == "body":
        return "its code changed"
    if kind in ("package", "environment", "Python") and old and new:
        return f"{part} changed: {old} → {new}"
    shown = (
        part
        if kind in ("package", "environment", "module", "default", "variable") or not name
        else f"`{name}`"
    )
    if old is None:
        return f"{shown} is new"
    return f"{shown} changed" if new is not None else f"{shown} is no longer used"


def stored(record: Record) -> str:
    """Say when and by which run the values of a record were stored."""
    text = "stored"
    if record.time:
        made = datetime.fromtimestamp(record.time, UTC).astimezone()
        text += f" {made:%Y-%m-%d %H:%M}"
    return f"{text} by run {record.run}" if record.run else text


def some(reasons: Sequence[str]) -> str:
    """Join the first few reasons."""
    more = len(reasons) - MAX_REASONS
    shown = "; ".join(reasons[:MAX_REASONS])
    return f"{shown}; and {more} more" if more > 0 else shown
