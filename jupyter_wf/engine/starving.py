"""A task that ran out of memory is tried again with twice as much reserved, up to all there is.

What was reserved so far is what it asked for; a task that asked for nothing counts as having had
its share of the worker. Such an attempt takes nothing off the retries that the task was given.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_wf.engine.ends import error
from jupyter_wf.engine.machines import Machine
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.transitions import again
from jupyter_wf.events import Failure
from jupyter_wf.resources import UNSAID, Amounts, need_of, serves

#: What devices' libraries call it: torch and CuPy raise a class of this name, JAX says it in words.
ON_DEVICE = "OutOfMemoryError"
EXHAUSTED = "RESOURCE_EXHAUSTED"


def out_of(failure: Failure, kinds: Iterable[str]) -> str:
    """Return the field of `Amounts` that an exception says there was not enough of, or nothing.

    Examples
    --------
    >>> out_of(Failure("MemoryError", "", ""), ("MemoryError", "Exception"))
    'memory'
    >>> out_of(Failure("OutOfMemoryError", "", ""), ("torch.OutOfMemoryError", "RuntimeError"))
    'gpu_memory'
    """
    names = {kind.rpartition(".")[2] for kind in kinds}
    if ON_DEVICE in names or failure.message.startswith(EXHAUSTED):
        return "gpu_memory"
    return "memory" if "MemoryError" in names else ""


def more_memory(live: Live, node: Node, machine: Machine, of: str, why: str) -> bool:
    """Try a task again with more memory reserved, or end it if there is no more.

    Parameters
    ----------
    live, node
    machine : Machine
        Where it ran out of memory; may be gone by now.
    of : {"memory", "gpu_memory"}
    why : str
        How that showed.

    Returns
    -------
    Whether it was tried again or ended: it is neither where workers don't say what memory they
    have, as more of it can't be asked for then.
    """
    need = node.reserved or need_of(node.job.requirements)
    partition = node.job.requirements.partition
    has = [
        _memory(one, of)
        for one in [*live.machines.values(), machine]
        if (partition is None or not live.pooled or one.partition == partition)
        and serves(one.offer, need)
    ]
    most, had = max([one for one in has if one != UNSAID], default=0), _had(machine, need, of)
    if not most or had == UNSAID:
        return False
    node.starved += 1
    asked: int = getattr(need, of)
    if asked >= most:
        _give_up(live, node, asked, of, why)
        return True
    more = min(2 * had, most)
    if of == "memory":
        node.reserved = need._replace(memory=more)
    else:
        node.reserved = need._replace(gpu_memory=more)
    again(live, node, f"{why}; tried again with {more:,} MB reserved")
    return True


def _memory(machine: Machine, of: str) -> int:
    if of == "memory":
        return machine.offer.memory
    return max((room.device.memory for room in machine.rooms), default=0)


def _had(machine: Machine, need: Amounts, of: str) -> int:
    """Return the megabytes that a task could count on."""
    asked: int = getattr(need, of)
    if asked:
        return asked
    memory = _memory(machine, of)
    if memory == UNSAID:
        return UNSAID
    share = need.cpu / machine.offer.cpu if of == "memory" else need.gpu / 1000
    return max(1, int(memory * min(1.0, share)))


def _give_up(live: Live, node: Node, asked: int, of: str, why: str) -> None:
    where, what = ("worker", "memory") if of == "memory" else ("device", "memory of the device")
    text = (
        f"ran out of {what} {node.starved} times, the last with {asked:,} MB reserved, which is "
        f"all that the largest {where} has ({why}). Give it a larger {where}, or less work."
    )
    error(live, node, Failure("MemoryError", text, ""))
