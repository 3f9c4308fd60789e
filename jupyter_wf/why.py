"""Why a task is in the state it is in, in words: `Workflow.why`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_wf.lookup import origin, task_named, whole

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow


def why(flow: Workflow, name: str) -> str:
    """Say why a task, or the task that makes a data, is in the state it is in.

    Of one that is on its way the engine is asked, so it must have heard of it.
    """
    graph, node = flow.graph, whole(flow.graph, name)
    if node not in graph.tasks and node in graph.data and graph.data[node].producer is None:
        return f"{node}: {origin(graph, node)}"
    task = task_named(graph, node)
    state, status = flow.state_of(task), flow.status_of(task)
    if status is None or state in ("stale", "new"):
        return f"{task}: {state}; {flow.plan(task).steps[task].why}"
    said = status.failure.message if status.failure else status.why
    if not status.settled or state == "running":
        said = flow.engine.why(flow.keys.tasks[task]) or said
    if not said and status.seconds:
        worker = flow.status.workers.get(status.worker)
        by = worker.name if worker is not None and worker.name else status.worker
        said = f"computed in {status.seconds:.3g} s by {by}"
    return f"{task}: {state}{'; ' + said if said else ''}"
