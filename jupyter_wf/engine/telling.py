"""What listeners are told of tasks: what they come to, and the states that they go through."""

from __future__ import annotations

from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.signals import Emit
from jupyter_wf.events import FINAL, State, TaskCached, TaskChanged, TaskComputed, TaskFailed


def change(live: Live, node: Node, state: State, why: str = "", worker: str = "") -> None:
    """Put a task into a state, and tell it."""
    node.state = state
    node.why = why
    key = node.job.key
    if live.paused:
        live.paused.pop(key, None)
    before = supersede(live, key)
    why = why or before
    if state in FINAL and not node.root:
        live.urgent = True
    live.latest[key] = len(live.events)
    live.events.append((live.now, key, state, worker, node.number, why))


def tell(live: Live, node: Node, event: TaskComputed | TaskCached | TaskFailed) -> None:
    """Tell what a task came to: at once, unless only other tasks wait for it."""
    live.events.append(event)
    live.urgent = live.urgent or not node.root


def supersede(live: Live, key: str) -> str:
    """Drop the change to a state that lasts no time, so that nobody sees it; return its reason."""
    before = live.latest.pop(key, None)
    if before is None:
        return ""
    old, live.events[before] = live.events[before], None
    assert isinstance(old, tuple)
    return old[-1]


def told(live: Live) -> Emit:
    """Take what is to be told."""
    events = tuple(
        [
            TaskChanged(*event) if isinstance(event, tuple) else event
            for event in live.events
            if event is not None
        ]
    )
    urgent = live.urgent
    live.events, live.urgent = [], False
    live.latest.clear()
    return Emit(events, urgent)
