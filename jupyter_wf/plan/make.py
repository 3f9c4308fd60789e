"""Decides what becomes of each task: whether its stored values are taken, it runs, or it can't.

This covers what is known before anything runs. It does not cover early cut-off: a task that is
planned to run because another runs before it may turn out to read the same values as before, and
then the engine takes its stored result after all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jupyter_wf.fingerprint import Keys
from jupyter_wf.graph import Graph, Task
from jupyter_wf.lookup import tasks_named
from jupyter_wf.plan.steps import Action, Plan, Step, timed
from jupyter_wf.plan.why import differences, some, stored
from jupyter_wf.records import Record
from jupyter_wf.requirements import Requirements

Find = Callable[[str], Record | None]

_AT_WORK = {"running": "running now", "ready": "about to run", "waiting": "waiting to run"}
_IN_MEMORY = frozenset({"stored", "cached"})


def make_plan(
    graph: Graph,
    targets: Iterable[str] | None = None,
    *,
    keys: Keys,
    find: Find,
    last: Find,
    force: Iterable[str] = (),
    active: Mapping[str, str] = MappingProxyType({}),
    unserved: Callable[[Requirements], str] = lambda _: "",
) -> Plan:
    """Decide what becomes of every task that the targets need.

    Parameters
    ----------
    graph : Graph
    targets : iterable of str, or None
        Names of tasks or data; None stands for all tasks.
    keys : Keys
        Of this graph.
    find : callable
        Takes a task's key, returns the record whose values are stored, or None.
    last : callable
        Takes a task's name, returns its newest record, or None.
    force : iterable of str
        Names of tasks or data that are made again whatever is stored; they are targets as well.
    active : mapping of str to str
        State, by key, of the tasks that the engine holds. One that failed is tried again if it is
        a target, and otherwise blocks what needs it.
    unserved : callable
        Says what a task asks for that no worker has; an empty string if one could serve it.

    Raises
    ------
    GraphError
        There is no such task or data, or nothing produces it; names it.
    """
    forced = frozenset(tasks_named(graph, force))
    wanted = frozenset(graph.tasks if targets is None else tasks_named(graph, targets)) | forced
    scope = wanted if targets is None else wanted | graph.ancestors(wanted)
    planner = _Planner(graph, keys, find, active, unserved, wanted, forced)
    order = [name for name in graph.order() if name in scope]
    for name in order:
        planner.decide(name)
    needed = set(wanted)
    for name in reversed(order):
        if name in needed and planner.actions[name] == "run":
            needed.update(graph.dependencies(name))
    steps: dict[str, Step] = {}
    for name in order:
        if name in needed or planner.actions[name] == "cached":
            steps[name] = planner.step(name, last)
    return timed(graph, steps)


@dataclass(slots=True)
class _Planner:
    """Decides task by task, each after those it depends on."""

    graph: Graph
    keys: Keys
    find: Find
    active: Mapping[str, str]
    unserved: Callable[[Requirements], str]
    wanted: frozenset[str]
    forced: frozenset[str]
    actions: dict[str, Action] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)
    causes: dict[str, str] = field(default_factory=dict)

    def decide(self, name: str) -> None:
        """Choose the action of a task; keep what the reason will be told from."""
        task = self.graph.tasks[name]
        before = self.graph.dependencies(name)
        key = self.keys.tasks.get(name)
        blocked = next((n for n in before if self.actions[n] == "blocked"), None)
        if key is None:
            orphans = [d for _, d in task.inputs if self.graph.data[d].orphan]
            cause = f"{', '.join(orphans)} is produced by no task" if orphans else ""
            self._block(name, cause or self.causes.get(blocked or "", "its inputs have no key"))
            return
        again = [n for n in before if n in self.renewed]
        renew = name in self.forced or not task.requirements.cache or bool(again)
        record = self.find(key)
        if record is not None:
            self.records[name] = record
        state = self.active.get(key)
        if not renew and (record is not None or state in _IN_MEMORY):
            self.actions[name] = "cached"
        elif state not in _AT_WORK and (lacks := self.unserved(task.requirements)):
            self._block(name, f"`{name}` {lacks}")
        elif state == "error" and name not in self.wanted:
            self._block(name, f"`{name}` failed")
        elif blocked is not None:
            self._block(name, self.causes[blocked])
        else:
            self.actions[name] = "run"
            if renew:
                self.renewed.add(name)

    def _block(self, name: str, cause: str) -> None:
        self.actions[name] = "blocked"
        self.causes[name] = cause

    def step(self, name: str, last: Find) -> Step:
        """Say what becomes of a task, and why."""
        action, key = self.actions[name], self.keys.tasks.get(name, "")
        record = self.records.get(name)
        if action == "blocked":
            return Step(name, key, action, self.causes[name])
        if action == "cached":
            return Step(name, key, action, stored(record) if record else "computed just now")
        newest = record or last(name)
        why = self._why(self.graph.tasks[name], key, newest)
        return Step(name, key, action, why, newest.seconds if newest else None)

    def _why(self, task: Task, key: str, newest: Record | None) -> str:
        state = self.active.get(key, "")
        if task.name in self.forced:
            return "forced"
        if state in _AT_WORK:
            return _AT_WORK[state]
        if not task.requirements.cache:
            return "never taken from the store (no-cache)"
        if task.name in self.renewed:
            again = [
                data
                for _, data in task.inputs
                if (producer := self.graph.data[data].producer) and producer in self.renewed
            ]
            return some([f"{data} will be computed again" for data in dict.fromkeys(again)])
        if state == "error":
            return "failed before, is tried again"
        if state == "cancelled":
            return "was cancelled"
        if newest is None:
            return "never computed"
        return some(differences(newest, task, self.keys))
