"""The view behind `flow.view()`: the evolving graph, and beside it what each worker uses."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

import panel as pn

from jupyter_wf.formats.svg import caption, summary, to_svg
from jupyter_wf.widgets.facts import family
from jupyter_wf.widgets.feed import Feed
from jupyter_wf.widgets.outlets import Outlet
from jupyter_wf.widgets.views.charts import WorkerCharts
from jupyter_wf.widgets.views.host import Host
from jupyter_wf.widgets.views.pane import GraphPane

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow

EVERY = 0.2
MOST_DRAWN = 2000
#: A saved notebook keeps at most about 50 kB of a picture.
MOST_DETAILED, MOST_SAVED = 40, 120


class Overview(pn.viewable.Viewer):
    """A live view of one workflow.

    It follows the workflow until it is closed or dropped, or until its cell runs again.

    Parameters
    ----------
    flow : Workflow
    """

    def __init__(self, flow: Workflow) -> None:
        super().__init__()
        self._flow = flow
        self._lock = threading.RLock()
        self._hosts: list[Host] = []
        self._outlet = Outlet(self.close)
        self._revision = -1
        self._resting: dict[str, str] = {}
        self._pane = GraphPane(min_width=360, height=360, sizing_mode="stretch_width")
        self._charts = WorkerCharts()
        charts = pn.Column(*map(pn.pane.Bokeh, self._charts.figures), min_width=260, max_width=340)
        self._layout = pn.Row(self._pane, charts, sizing_mode="stretch_width")
        self._refresh()
        self._unwatch = Feed(ref(flow)).watch(_weakly(self), EVERY)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout

    def _refresh(self) -> None:
        """Bring everything up to date; called by the feed, in its thread."""
        flow = self._flow
        graph, revision = flow.graph, flow.revision
        drawn = revision != self._revision
        if drawn:
            self._resting = {}
        states = self._states(list(graph.tasks))
        changes: dict[str, Any] = {
            "states": states,
            "added": self._added(list(graph.tasks)),
            "times": self._times(list(graph.tasks)),
            "workers": self._workers(),
        }
        if drawn:
            small = len(graph.tasks) <= MOST_DRAWN
            changes["svg"] = to_svg(graph, states) if small and graph.tasks else ""
            changes["note"] = "" if graph.tasks and small else _note(len(graph.tasks))
        with self._lock:
            self._revision = revision
            self._pane.param.update(**changes)
            self._draw_charts()
            for host in self._hosts:
                host.flush()
        if not any(state in ("waiting", "ready", "running") for state in states.values()):
            self._outlet.update(self._static(states))

    def _draw_charts(self) -> None:
        update = partial(self._charts.update, dict(self._flow.status.workers))
        document = self._charts.figures[0].document
        if document is not None and document.session_context is not None:
            # Served on its own, the document belongs to the server's thread.
            document.add_next_tick_callback(update)
        else:
            update()

    def _states(self, names: list[str]) -> dict[str, str]:
        found = {}
        for name in names:
            status = self._flow.status_of(name)
            if status is not None:
                found[name] = status.state
            else:
                # Asking the store is slow; its answer holds until the graph changes.
                if name not in self._resting:
                    self._resting[name] = self._flow.state_of(name)
                found[name] = self._resting[name]
        return found

    def _added(self, names: list[str]) -> dict[str, list[int | str]]:
        statuses = ((name, self._flow.status_of(name)) for name in names)
        return {
            name: [status.ended, status.added, family(status)]
            for name, status in statuses
            if status is not None and status.added
        }

    def _times(self, names: list[str]) -> list[float]:
        started, ended, busy = [], [0.0], False
        for name in names:
            status = self._flow.status_of(name)
            if status is not None and status.started:
                started.append(status.started)
                ended.append(status.finished)
                busy |= status.state == "running"
        return [min(started, default=0.0), 0.0 if busy else max(ended)]

    def _workers(self) -> list[dict[str, Any]]:
        return [
            {
                "name": worker.name or address,
                "state": worker.state,
                "colour": self._charts.colour(address),
                "cpu": round(worker.cpu, 2),
                "memory": worker.memory,
                "limit": worker.limit,
            }
            for address, worker in dict(self._flow.status.workers).items()
        ]

    # -- where it is shown ---------------------------------------------------------------------

    def _static(self, states: Mapping[str, str]) -> dict[str, str]:
        graph = self._flow.graph
        text = f"workflow of {summary(states, len(graph.tasks))}"
        if 0 < len(graph.tasks) <= MOST_SAVED:
            picture = to_svg(graph, states, detail=len(graph.tasks) <= MOST_DETAILED)
        else:
            picture = caption(text)
        return {"text/plain": text, "image/svg+xml": picture}

    def _ipython_display_(self) -> None:
        with self._lock:
            host = Host(self._layout, self._lock)
            self._hosts.append(host)
        self._outlet.show(self._static(self._states(list(self._flow.graph.tasks))), host.model_id)

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self, depth: int = 0) -> str:
        states = self._states(list(self._flow.graph.tasks))
        return f"workflow of {summary(states, len(states))}"

    def close(self) -> None:
        """Stop following the workflow and remove the view."""
        self._unwatch()
        with self._lock:
            for host in self._hosts:
                host.close()
            self._hosts = []


def _note(tasks: int) -> str:
    if not tasks:
        return "No tasks yet."
    return f"{tasks} tasks are too many to draw; at most {MOST_DRAWN} are."


def _weakly(overview: Overview) -> Any:
    """Return a call of its `_refresh` that does not keep the view alive, and ends with it."""
    method = WeakMethod(overview._refresh)

    def refresh() -> None:
        found = method()
        if found is not None:
            found()

    return refresh
