"""What a session knows: what its tasks have in common, and the data and tasks it has met."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from jupyter_wf.environment import Environment
from jupyter_wf.fingerprint import digest
from jupyter_wf.handle import DataHandle
from jupyter_wf.pymonik.options import TaskOptions
from jupyter_wf.task import TaskFunction

if TYPE_CHECKING:
    from jupyter_wf.pymonik.task import Task


@dataclass(frozen=True, slots=True)
class Settings:
    """What the tasks of a session, and those that they invoke, have in common.

    Parameters
    ----------
    session_id : str
    environment : Environment or None
        What is around them.
    task_options : TaskOptions
        Of tasks that say nothing else.
    """

    session_id: str
    environment: Environment | None
    task_options: TaskOptions


@dataclass(slots=True)
class Session:
    """What an open session knows.

    Parameters
    ----------
    settings : Settings
    ticket : str
        What tickets of its tasks are made from.
    data : dict
        Handles, or values, by their ids.
    functions : dict
        What tasks are invoked as.
    delegate : DataHandle or None
        What makes the result of the running task in its place.
    """

    settings: Settings
    ticket: str
    data: dict[str, Any] = field(default_factory=dict)
    functions: dict[Task[..., Any], TaskFunction] = field(default_factory=dict)
    delegate: DataHandle | None = None
    numbers: count[int] = field(default_factory=count)

    def next_ticket(self) -> str:
        """Return what tells one invocation from all others, and is the same if all is repeated."""
        return digest("ticket", self.ticket, str(next(self.numbers)))[:20]
