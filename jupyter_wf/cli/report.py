"""What a command found, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_wf.errors import TaskError
from jupyter_wf.magics.tables import table
from jupyter_wf.plan import Plan
from jupyter_wf.status import TaskStatus

if TYPE_CHECKING:
    from jupyter_wf.cli.sources import Session
    from jupyter_wf.workflow import Workflow

BAD = ("error", "blocked")


def of_run(session: Session) -> dict[str, Any]:
    """Return the document of ``jupyter wf run --json``."""
    tasks = {name: found for flow in session.flows for name, found in _tasks(session, flow)}
    states = {task["state"] for task in tasks.values()}
    if session.ended.message or states & set(BAD):
        state = "error"
    else:
        state = "cancelled" if "cancelled" in states else "stored"
    return {
        "run": session.run.id if session.run else f"r-{uuid4().hex[:10]}",
        "state": state,
        "seconds": round(session.seconds, 3),
        "tasks": tasks,
    }


def _tasks(session: Session, flow: Workflow) -> Iterator[tuple[str, dict[str, Any]]]:
    watched = session.run.tasks if session.run is not None and flow is session.flow else {}
    for name in flow.graph.order():
        if session.targets and name not in watched:
            continue
        status = flow.status_of(name) or TaskStatus(state="waiting")
        blocked = name in watched and watched[name].state == "blocked"
        yield (
            name,
            {
                "state": "blocked" if blocked else status.state,
                "seconds": round(status.seconds, 6),
                "why": _why(session, name, status),
                "outputs": {output: stored.id for output, stored in status.outputs.items()},
            },
        )


def _why(session: Session, name: str, status: TaskStatus) -> str:
    if status.failure is not None:
        return f"{status.failure.type}: {status.failure.message}"
    return status.why or session.whys.get(name) or "nothing stored under its key"


def run_text(found: dict[str, Any]) -> str:
    """Write the document of a run as a table for people."""
    rows = [("task", "state", "seconds", "why")]
    rows += [(n, t["state"], f"{t['seconds']:.3g}", t["why"]) for n, t in found["tasks"].items()]
    tasks = table(rows) if found["tasks"] else "No tasks."
    return f"{tasks}\nRun {found['run']}: {found['state']} in {found['seconds']:.3g} s."


def failures(session: Session) -> Iterator[str]:
    """Yield, for each task that failed, what and where."""
    for flow in session.flows:
        for name in flow.graph.order():
            status = flow.status_of(name)
            if status is not None and status.failure is not None:
                said = f"{status.failure.type}: {status.failure.message}"
                yield str(TaskError(name, said, status.failure.traceback))


def of_plan(plan: Plan) -> dict[str, Any]:
    """Return the document of ``jupyter wf plan --json``."""
    return {
        "seconds": plan.seconds,
        "critical_seconds": plan.critical_seconds,
        "tasks": {
            step.task: {"action": step.action, "seconds": step.seconds, "why": step.why}
            for step in plan.steps.values()
        },
    }
