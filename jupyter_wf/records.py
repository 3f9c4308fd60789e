"""What is remembered of a value and of the execution that made it, as frozen values."""

from __future__ import annotations

from dataclasses import field

from jupyter_wf.frozen import value


@value(frozen=True, slots=True)
class Stored:
    """What is known of one value without reading it.

    Parameters
    ----------
    id : str
        Content id: the hash of the encoded value.
    kind : str
        How it is encoded: ``"json"``, ``"array"``, ``"tree"``, ``"pickle"``, …
    nbytes : int
        Size of the encoded value in bytes, uncompressed.
    summary : str
        One line of plain text for people, such as ``float64 (1797, 64)``. Hostile until escaped.
    """

    id: str
    kind: str
    nbytes: int
    summary: str = ""


@value(frozen=True, slots=True)
class Growth:
    """Where the computation of a task stands that was handed on to tasks which it added.

    Parameters
    ----------
    key : str
        Key of the task.
    packed : bytes
        The tasks that are under way, pickled; read only to go on with them.
    """

    key: str
    packed: bytes


@value(frozen=True, slots=True)
class Record:
    """One committed execution of a task.

    Parameters
    ----------
    key : str
        Key of the task: what it is and how its inputs were made.
    recipe : str
        Hash of the task's fingerprint and its inputs' content ids: what it is and what it read.
    name : str
        The task's name at the time.
    parts : tuple of (str, str)
        The parts of its code's fingerprint (`Code.parts`).
    inputs : tuple of (str, str, str)
        (slot, key of the data, content id).
    outputs : tuple of (str, Stored)
        (output, value).
    run, host, worker : str
    seconds : float
        Wall time of the body.
    time : float
        When it was committed, in seconds since the epoch.
    """

    key: str
    recipe: str
    name: str
    parts: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str, str], ...]
    outputs: tuple[tuple[str, Stored], ...]
    run: str = ""
    host: str = ""
    worker: str = ""
    seconds: float = 0.0
    time: float = field(default=0.0, compare=False)


#: What is written down together with values; None where nothing speaks of them yet.
Item = Record | Growth | None
