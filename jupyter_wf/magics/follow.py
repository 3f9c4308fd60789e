"""Tasks follow the notebook: what their cells read is looked at again when ``%wf`` is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_wf.encodings import encode
from jupyter_wf.errors import WorkflowError
from jupyter_wf.graph import Task

if TYPE_CHECKING:
    from jupyter_wf.magics.capture import Captured
    from jupyter_wf.workflow import Workflow

#: Captures a cell once more, with the notebook's variables as they are now.
Again = Callable[[], "Captured"]


@dataclass(frozen=True, slots=True)
class _Cell:
    task: Task
    again: Again


class Follow:
    """The cells whose tasks were defined, and the values of the notebook that they were given.

    A function that was written anew, or a list that has grown, makes the tasks that use it stale.
    Only what changed since it was last looked at counts: an undone change stays undone.
    """

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}
        self._given: dict[str, str | None] = {}

    def __bool__(self) -> bool:
        return bool(self._cells)

    def note(self, flow: Workflow, captured: Captured, again: Again) -> None:
        """Remember a task that was just defined, and how to capture its cell again."""
        self._cells[captured.task.name] = _Cell(captured.task, again)
        self._given.update({name: flow.graph.data[name].content for name in captured.values})

    def refresh(self, flow: Workflow) -> list[str]:
        """Define again the tasks whose cells would make another task now; return their names.

        Nothing is started. A cell that can't be captured any more leaves its task as it is.
        """
        ids: dict[str, str] = {}
        found = []
        for name, cell in tuple(self._cells.items()):
            if flow.graph.tasks.get(name) is not cell.task:
                continue  # undone, removed or defined by other means since
            try:
                captured = cell.again()
                if _alike(captured.task, cell.task) and not self._changed(captured.values, ids):
                    continue
                flow.define(captured.task, captured.values, run=False)
            except WorkflowError:
                continue
            self.note(flow, captured, cell.again)
            found.append(name)
        return found

    def _changed(self, values: Mapping[str, Any], ids: dict[str, str]) -> bool:
        for name, value in values.items():
            if name not in ids:
                ids[name] = encode(value, name=name).id
        return any(self._given.get(name) != ids[name] for name in values)


def _alike(one: Task, other: Task) -> bool:
    return one.code.fingerprint == other.code.fingerprint and one.inputs == other.inputs
