"""What handles ask of a workflow: keys, states and values of its data, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_wf.errors import (
    CorruptValueError,
    GraphError,
    MissingValueError,
    TaskCancelledError,
    TaskError,
    WorkflowError,
)
from jupyter_wf.fingerprint import data_key
from jupyter_wf.graph import Data, Graph
from jupyter_wf.rewrite import cull
from jupyter_wf.status import TaskStatus

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow


class Values:
    """Answers the handles of one workflow (`handle.Owner`)."""

    def __init__(self, flow: Workflow) -> None:
        self._flow = flow

    def data(self, name: str) -> Data:
        """Return the node of this name, or raise `GraphError`."""
        try:
            return self._flow.graph.data[name]
        except KeyError:
            raise GraphError(
                f"There is no data named {name!r} in the workflow any more. "
                f"Define the task that makes it again, or undo."
            ) from None

    def data_key(self, name: str) -> str:
        """Return the key of a data."""
        fresh = self._flow.fresh(name)
        if fresh is not None:
            return data_key(*fresh)
        self.data(name)
        try:
            return self._flow.keys.data[name]
        except KeyError:
            raise GraphError(f"{self._flow.plan(name)}") from None

    def data_id(self, name: str) -> str | None:
        """Return the content id of a data, or None while it isn't known."""
        fresh = self._flow.fresh(name)
        if fresh is not None:
            key, output = fresh
            made = self._flow.status.tasks.get(key)
            return made.outputs[output].id if made is not None and made.computed else None
        data = self.data(name)
        if data.producer is None:
            return data.content
        status = self._flow.status_of(data.producer)
        if status is None or not status.computed:
            return None
        return status.outputs[self._output(data)].id

    def data_state(self, name: str) -> str:
        """Return the state of the task that makes a data; given values are ``stored``."""
        data = self.data(name)
        if data.producer is None:
            return "error" if data.orphan else "stored"
        return self._flow.state_of(data.producer)

    def data_summary(self, name: str) -> str:
        """Return one line about the value of a data, or an empty string."""
        data = self.data(name)
        if data.content is not None:
            stored = self._flow.store.stored(data.content)
            return stored.summary if stored else ""
        status = self._flow.status_of(data.producer) if data.producer else None
        found = status.outputs.get(self._output(data)) if status else None
        return found.summary if found else ""

    def wait_for(self, name: str, timeout: float | None) -> None:
        """Run what a data needs, and wait until it is there or never will be."""
        producer = self.data(name).producer
        if producer is None:
            return
        status = self._flow.status_of(producer)
        if status is None:
            found = self._flow.run(producer).tasks[producer]
            if found.state == "blocked":
                raise WorkflowError(f"{producer} can't run: {found.why}")
        key = self._flow.keys.tasks.get(producer)
        if key is None:
            raise WorkflowError(
                f"{producer} can't run: {self._flow.plan(producer).steps[producer].why}"
            )
        tasks = self._flow.status.tasks
        if not self._flow.wait(lambda: key in tasks and tasks[key].settled, timeout):
            raise TimeoutError(f"{name!r} is not there after {timeout} s; its task runs on.")

    def value_of(self, name: str) -> Any:
        """Wait for a value and return it."""
        data = self.data(name)
        if data.producer is None:
            if data.content is None:
                raise WorkflowError(f"Nothing makes {name!r} any more.")
            return self._flow.store.get(data.content)
        status = self._flow.status_of(data.producer)
        if status is None or not status.settled:
            self.wait_for(name, None)
            status = self._flow.status_of(data.producer)
            assert status is not None
        if status.failure is not None:
            raise TaskError(data.producer, _message(status), status.failure.traceback)
        if status.state == "cancelled":
            why = f" because {status.why}" if status.why else ""
            raise TaskCancelledError(f"Task {data.producer!r} was cancelled{why}.")
        if status.state != "cached":
            return self._flow.engine.value(self.data_key(name))
        try:
            return self._flow.store.get(status.outputs[self._output(data)].id)
        except (MissingValueError, CorruptValueError):
            # A value that was lost or damaged on disk is made again, never returned.
            self._flow.run(name, force=[name])
            return self.value_of(name)

    def zarr_of(self, name: str) -> Any:
        """Wait until a value is stored and open it with Zarr."""
        self.wait_for(name, None)
        self._flow.flush()
        content = self.data_id(name)
        if content is None:
            raise MissingValueError(f"{name!r} has no value: {self.data_state(name)}.")
        return self._flow.store.zarr(content)

    def provenance_of(self, name: str) -> Graph:
        """Return the graph of what a data was made from."""
        data = self.data(name)
        if data.producer is None:
            return Graph.of((), (data,))
        return cull(self._flow.graph, [data.producer])

    def _output(self, data: Data) -> str:
        task = self._flow.graph.tasks[data.producer or ""]
        return next(output for output, name in task.outputs if name == data.name)


def _message(status: TaskStatus) -> str:
    assert status.failure is not None
    return f"{status.failure.type}: {status.failure.message}"
