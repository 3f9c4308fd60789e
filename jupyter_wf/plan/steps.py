"""A plan as a frozen value: one step a task, and how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from jupyter_wf.graph import Graph

Action = Literal["cached", "run", "blocked"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one task.

    Parameters
    ----------
    task : str
        Name of the task.
    key : str
        Its key; empty where it has none.
    action : {"cached", "run", "blocked"}
    why : str
        The reason, in words for people; names in it are hostile until escaped.
    seconds : float or None
        How long its last execution took, if it is to run; None if that is unknown.
    """

    task: str
    key: str
    action: Action
    why: str
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """What becomes of the tasks that some targets need, in topological order.

    Parameters
    ----------
    steps : mapping of str to Step
        By name of the task.
    seconds : float
        Time of all that is to run, one after the other; a task that never ran counts as 0.
    critical_seconds : float
        Time of the longest path through what is to run: no number of workers is faster.

    Examples
    --------
    >>> print(Plan({"fit": Step("fit", "…", "run", "never computed")}))
    task  action  seconds  why
    fit   run           ?  never computed
    1 to run, 0 cached, 0 blocked; 1 of unknown duration.
    """

    steps: Mapping[str, Step] = field(default_factory=lambda: MappingProxyType({}))
    seconds: float = 0.0
    critical_seconds: float = 0.0

    @property
    def to_run(self) -> tuple[str, ...]:
        """Names of the tasks that run."""
        return self._names("run")

    @property
    def cached(self) -> tuple[str, ...]:
        """Names of the tasks whose stored results are taken."""
        return self._names("cached")

    @property
    def blocked(self) -> tuple[str, ...]:
        """Names of the tasks that can't run."""
        return self._names("blocked")

    def _names(self, action: Action) -> tuple[str, ...]:
        return tuple(name for name, step in self.steps.items() if step.action == action)

    def __str__(self) -> str:
        if not self.steps:
            return "No tasks."
        rows = [("task", "action", "seconds", "why")]
        for step in self.steps.values():
            shown = "?" if step.seconds is None else f"{step.seconds:.3g}"
            rows.append((step.task, step.action, shown if step.action == "run" else "", step.why))
        wide = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:{wide[0]}}  {b:{wide[1]}}  {c:>{wide[2]}}  {d}" for a, b, c, d in rows]
        run = self.to_run
        unknown = sum(self.steps[name].seconds is None for name in run)
        end = f"{len(run)} to run, {len(self.cached)} cached, {len(self.blocked)} blocked"
        if self.seconds:
            end += f"; {self.seconds:.3g} s of work, at least {self.critical_seconds:.3g} s"
        if unknown:
            end += f"; {unknown} of unknown duration"
        return "\n".join([*(line.rstrip() for line in lines), f"{end}."])


def timed(graph: Graph, steps: Mapping[str, Step]) -> Plan:
    """Make a plan of steps in topological order, and add up their times."""
    total, longest = 0.0, 0.0
    ends: dict[str, float] = {}
    for name, step in steps.items():
        if step.action == "run":
            own = step.seconds or 0.0
            total += own
            ends[name] = own + max((ends.get(n, 0.0) for n in graph.dependencies(name)), default=0)
            longest = max(longest, ends[name])
    return Plan(MappingProxyType(dict(steps)), total, longest)
