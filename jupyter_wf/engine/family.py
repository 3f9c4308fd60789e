"""The tasks that a running task adds to the graph, as its body sees them.

They are kept back until the body ends, and travel with its answer; the first time that it waits for
one, all of them are sent ahead.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from jupyter_wf.encodings import Encoded, encode
from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.signals import Attempt, Family, Source
from jupyter_wf.errors import StoreError, WorkflowError
from jupyter_wf.fingerprint import data_key, source_key
from jupyter_wf.graph import Graph, Task
from jupyter_wf.handle import DataHandle
from jupyter_wf.records import Stored

#: How often a value that was lost while a body waited for it is asked for again.
TRIES = 3


class InputLostError(Exception):
    """An input is neither in memory, nor with a peer, nor in the store."""

    def __init__(self, content: str) -> None:
        super().__init__(content)
        self.content = content


class Lease(Protocol):
    """What a body needs of the lease that it runs in."""

    nonce: str

    def spawn(self, serial: int, family: Family) -> None:
        """Add children to the graph now."""

    def wait(self, attempt: Attempt, name: str, data: str, timeout: float | None) -> Source:
        """Wait until a value is there."""


class Holder(Protocol):
    """What a body needs of the worker that it runs on."""

    def load(self, source: Source, loaded: list[str]) -> Any:
        """Return a value."""

    def keep(self, encoded: Encoded) -> None:
        """Hold a value."""


class Children:
    """The children of one attempt; the owner of the handles that its body holds.

    Parameters
    ----------
    holder : Holder
    lease : Lease
    attempt : Attempt
    loaded : list of str
        Takes the content ids of what is fetched for the body.

    Attributes
    ----------
    given : dict
        The values that children read, by content id.
    waited : float
        Seconds for which the body has waited.
    """

    def __init__(self, holder: Holder, lease: Lease, attempt: Attempt, loaded: list[str]) -> None:
        self.given: dict[str, Encoded] = {}
        self.waited = 0.0
        self._holder = holder
        self._lease = lease
        self._attempt = attempt
        self._loaded = loaded
        self._jobs: dict[str, Job] = {}
        self._new: dict[str, Stored] = {}
        self._keys: dict[str, str] = {}
        self._sources: dict[str, Source] = {}
        self._ended = False

    # -- what the body adds --------------------------------------------------------------------

    def append(self, task: Task, key: str, inputs: tuple[tuple[str, str], ...]) -> None:
        """Add a task; see `context.Spawner`."""
        self._check_open(task.name)
        outputs = tuple([(output, data_key(key, output)) for output, _ in task.outputs])
        self._keys.update(
            (name, data) for (_, name), (_, data) in zip(task.outputs, outputs, strict=True)
        )
        self._jobs[key] = Job(
            key, task.name, task.code, task.call, inputs, outputs, task.requirements
        )

    def give(self, value: Any) -> str:
        """Keep a value for children; see `context.Spawner`."""
        encoded = encode(value)
        name, key = f"value-{encoded.id[:16]}", source_key(encoded.id)
        if encoded.id not in self.given:
            self._holder.keep(encoded)
            self.given[encoded.id] = encoded
            self._new[key] = encoded.stored
        self._keys[name] = key
        return name

    def taken(self) -> Family:
        """Return what was added since this was last asked."""
        family = Family(tuple(self._jobs.values()), tuple(self._new.items()))
        self._jobs, self._new = {}, {}
        return family

    def outputs(self, names: tuple[str, ...], values: list[Any]) -> list[Encoded | str]:
        """Turn what a body returned into values, or if any is a child's, into keys of data.

        Raises `StoreError` for what can't be stored.
        """
        handed = [self._handed_on(value) for value in values]
        self._ended = True
        if not any(handed):
            return [encode(value, name=name) for name, value in zip(names, values, strict=True)]
        return [
            key or self.data_key(self.give(value))
            for key, value in zip(handed, values, strict=True)
        ]

    def _handed_on(self, value: Any) -> str | None:
        if type(value) is DataHandle:
            return self.data_key(value.name)
        if any(_handles_in(value)):
            raise StoreError(
                "An output holds handles of tasks that were invoked in it. Return one handle "
                "alone, or that of a task which combines them, as in "
                "combine.invoke(handles, delegate=True)."
            )
        return None

    def _check_open(self, name: str) -> None:
        if self._ended:
            raise WorkflowError(
                f"{name} was invoked by {self._attempt.job.name}, which has ended. Invoke tasks "
                f"before the body returns."
            )

    # -- handle.Owner --------------------------------------------------------------------------

    def data_key(self, name: str) -> str:
        """Return the key of a data."""
        key = self._keys.get(name)
        if key is None:
            raise WorkflowError(
                f"{name!r} is not of a task that {self._attempt.job.name} has invoked."
            )
        return key

    def data_id(self, name: str) -> str | None:
        """Return the content id of a data, or None while it isn't known."""
        source = self._sources.get(self.data_key(name))
        return source.content if source is not None else None

    def data_state(self, name: str) -> str:
        """Return what is known of the task that makes a data."""
        return "waiting" if self.data_id(name) is None else "stored"

    def data_summary(self, name: str) -> str:  # noqa: ARG002 - as every owner
        """Return nothing: nobody looks at it here."""
        return ""

    def wait_for(self, name: str, timeout: float | None) -> None:
        """Let other tasks run in this slot until a value is there."""
        key = self.data_key(name)
        if key in self._sources:
            return
        self._check_open(name)
        family = self.taken()
        if family.jobs or family.given:
            self._lease.spawn(self._attempt.serial, family)
        began = time.perf_counter()
        try:
            self._sources[key] = self._lease.wait(self._attempt, name, key, timeout)
        finally:
            self.waited += time.perf_counter() - began

    def value_of(self, name: str) -> Any:
        """Wait for a value and return it."""
        key = self.data_key(name)
        for _ in range(TRIES):
            self.wait_for(name, None)
            try:
                return self._holder.load(self._sources[key], self._loaded)
            except InputLostError:
                del self._sources[key]
        raise WorkflowError(f"The value of {name!r} was lost {TRIES} times with its workers.")

    def zarr_of(self, name: str) -> Any:
        """Refuse: a value that was just made may not be stored yet."""
        raise WorkflowError(f"{name!r} can't be opened with Zarr in a running task: use .get().")

    def provenance_of(self, name: str) -> Graph:
        """Refuse: a running task knows its own children only."""
        raise WorkflowError(f"A running task does not know the provenance of {name!r}.")


def _handles_in(value: Any) -> Iterator[bool]:
    """Yield once for each handle in lists, tuples and dicts."""
    if type(value) is DataHandle:
        yield True
    items: Iterable[Any] = ()
    if isinstance(value, list | tuple):
        items = value
    elif isinstance(value, dict):
        items = value.values()
    for item in items:
        yield from _handles_in(item)
