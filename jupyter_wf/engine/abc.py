"""What an engine and a store promise; `engine.testing` holds the suites that check the promise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_wf.encodings import Encoded, decode
from jupyter_wf.events import Listener
from jupyter_wf.graph import Call, Code
from jupyter_wf.records import Item, Record, Stored
from jupyter_wf.requirements import Requirements
from jupyter_wf.resources import Worker


@dataclass(frozen=True, slots=True)
class Job:
    """A task as an engine sees it: keys instead of the names a graph gives.

    Parameters
    ----------
    key : str
        The task's key.
    name : str
        For people and logs.
    code : Code
    call : Call or None
    inputs : tuple of (str, str)
        (slot, key of the data).
    outputs : tuple of (str, str)
        (output, key of the data).
    requirements : Requirements
    """

    key: str
    name: str
    code: Code
    call: Call | None
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    requirements: Requirements = field(default_factory=Requirements)


class Store(ABC):
    """Keeps immutable values under their content ids, and the records of what made them."""

    url: str
    #: Whether other processes can open the same store by its URL.
    shared: bool

    @abstractmethod
    def refresh(self) -> None:
        """Learn what other writers committed since; cheap when nothing was."""

    @abstractmethod
    def find(self, key: str) -> Record | None:
        """Return the record of the task with this key, if its values are all here."""

    @abstractmethod
    def find_recipe(self, recipe: str) -> Record | None:
        """Return a record of the same code having read the same values."""

    @abstractmethod
    def growth(self, key: str) -> bytes | None:
        """Return where the computation of a task was last noted to stand, if it has not ended."""

    @abstractmethod
    def last(self, name: str) -> Record | None:
        """Return the newest record of a task of this name."""

    @abstractmethod
    def records(self) -> Iterable[Record]:
        """Return all records, oldest first."""

    @abstractmethod
    def stored(self, content: str) -> Stored | None:
        """Return what is known of a value, or None if it is not here."""

    @abstractmethod
    def encoded(self, content: str) -> Encoded:
        """Read a value as it was encoded, verified, so that nobody need hash it again.

        Raises `MissingValueError`, or `CorruptValueError` if its bytes fail the hash.
        """

    def get(self, content: str) -> Any:
        """Read a value; raises what `encoded` and `decode` raise."""
        return decode(self.encoded(content))

    @abstractmethod
    def put(self, value: Any) -> Stored:
        """Write a value durably, unless it is here already."""

    @abstractmethod
    def commit(self, batch: Sequence[tuple[Item, Mapping[str, Any]]], owner: str = "") -> None:
        """Write values (by content id) and then their records; durable when it returns.

        A record that is there already, with the same values, is not written again. Processes that
        commit for one `owner` are known not to commit the same, and need not look for that at what
        the others of them did; without a name, each process is an owner.

        A `Growth` is kept until a record of its key is. None stands where values have no record of
        their own, such as those that a task gave to the tasks that it added.
        Raises `StoreError`; then none of the batch's records is visible that lacks a value.
        """

    @abstractmethod
    def zarr(self, content: str) -> Any:
        """Return a read-only ``zarr.Array`` or ``zarr.Group`` of a value."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and handles."""


class Engine(ABC):
    """Runs jobs on machines and reports events."""

    @abstractmethod
    def start(self, store: Store) -> None:
        """Bind to a store; machines may be started later, at the first job."""

    @abstractmethod
    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every batch of events; return the function that undoes this."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job], known: Mapping[str, str], run: str = "") -> None:
        """Take on jobs; return at once.

        Each job's inputs are outputs of jobs that this engine holds (in any order within the
        batch), or are in `known`, which gives the content id of the data with this key: a value in
        the store, or one held by `hold`. A job whose key the engine holds already, and that has
        neither failed nor been cancelled, is ignored.
        """

    @abstractmethod
    def hold(self, content: str, value: Any) -> None:
        """Keep a value given from outside, when the store can't be shared with workers."""

    @abstractmethod
    def cancel(self, tasks: Iterable[str]) -> None:
        """Stop tasks and all that need them, running ones included; return at once."""

    def why(self, task: str) -> str:  # noqa: ARG002 - an engine need not know
        """Say what a task waits for; empty if it has ended, or if this engine can't tell."""
        return ""

    @abstractmethod
    def forget(self, tasks: Iterable[str]) -> None:
        """Drop finished tasks and their values from memory; what is stored stays stored."""

    @abstractmethod
    def value(self, data: str) -> Any:
        """Return a computed value by the key of its data, from memory or from the store.

        Called after its task was computed. Blocks for the transfer only; raises `EngineError`.
        """

    @abstractmethod
    def executions(self) -> Counter[str]:
        """Count the task bodies that the machines now held have run, as they tell it.

        By the label of their code: the name of the cell, or of the function.
        """

    def offers(self) -> tuple[Worker, ...]:
        """Return the workers that are here, or that a first job would start, as far as known."""
        return ()

    @abstractmethod
    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was computed is durable; False if that took longer than `timeout`."""

    @abstractmethod
    def close(self) -> None:
        """Give back leases, stop what was started here, and undo every subscription."""
