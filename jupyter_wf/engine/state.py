"""The live graph: stimuli in, instructions out; no I/O, no thread, and no clock of its own.

``waiting -> ready -> running -> stored`` is a task's way; ``cached`` ends it early when the same
code has read the same values before, ``error`` and ``cancelled`` end it badly. Between ``running``
and ``stored`` lies the moment at which its attempt is *accepted*: the values exist in a worker's
memory, dependents may start, and the store is being written. A value that is lost before it is
durable is computed again.

Here is the entrance; what is known is in ``nodes``, which says where each part of the rest is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_wf.engine import answers, asking, children, growth, leases
from jupyter_wf.engine.binding import dispatch, slots
from jupyter_wf.engine.children import sweep
from jupyter_wf.engine.nodes import Live, Node
from jupyter_wf.engine.reuse import settle
from jupyter_wf.engine.serving import demand, workers
from jupyter_wf.engine.signals import (
    Awaiting,
    Cancel,
    Durable,
    Failed,
    Finished,
    Forget,
    Instruction,
    LeaseEnded,
    LeaseJoined,
    Leaving,
    Missing,
    Spawned,
    Stimulus,
    Submit,
    Suspect,
    Tick,
    Unrun,
    Unstored,
    WorkerJoined,
    WorkerLost,
)
from jupyter_wf.engine.telling import told
from jupyter_wf.engine.transitions import coming
from jupyter_wf.engine.values import Values
from jupyter_wf.engine.waiting import waits_for
from jupyter_wf.events import FINAL
from jupyter_wf.records import Record
from jupyter_wf.resources import WHOLE, Worker

#: Bytes of durable values nobody reads now which may stay in the workers' memory, by default.
KEEP = 256_000_000

HANDLERS: dict[type, Callable[[Live, Any], None]] = {
    Submit: growth.submit,
    Cancel: asking.cancel,
    Forget: asking.forget,
    WorkerJoined: leases.came,
    LeaseJoined: leases.joined,
    LeaseEnded: leases.ended,
    WorkerLost: leases.lost,
    Suspect: leases.suspect,
    Leaving: leases.leaving,
    Finished: answers.finished,
    Spawned: children.spawned,
    Awaiting: children.awaiting,
    Failed: answers.failed,
    Missing: answers.missing,
    Unrun: answers.unrun,
    Durable: answers.durable,
    Unstored: answers.unstored,
    Tick: leases.tick,
}


class LiveGraph:
    """All tasks that an engine holds.

    Parameters
    ----------
    find : callable
        Recipe -> record of the same code having read the same values, if the store has one.
    lookup : callable
        Key of a task -> its record, if the store has one.
    shared : bool
        Whether attempts are committed to a store; if not, computed values count as stored.
    keep : int
        Bytes of durable values nobody reads now which may stay in the workers' memory.
    pooled : bool
        Whether workers are to come that declare partitions; else that shows when they do.
    speculate : float
        After how many times the usual time a task gets a copy elsewhere; 0 for never.
    """

    def __init__(
        self,
        find: Callable[[str], Record | None],
        lookup: Callable[[str], Record | None] = lambda key: None,  # noqa: ARG005
        *,
        shared: bool = True,
        keep: int = KEEP,
        pooled: bool = False,
        speculate: float = 0.0,
    ) -> None:
        self.live = live = Live(
            find, lookup, shared, Values(keep), pooled=pooled, speculate=speculate
        )
        self.tasks, self.values = live.tasks, live.values
        self.machines, self.leases = live.machines, live.leases

    def handle(self, now: float, *stimuli: Stimulus) -> list[Instruction]:
        """Take in what happened until `now` (seconds since the epoch); return what to do."""
        live = self.live
        live.now = now
        for stimulus in stimuli:
            if type(stimulus) is not Submit:
                live.full = False
            HANDLERS[type(stimulus)](live, stimulus)
            if live.unsettled:
                settle(live)
            if live.loosened:
                sweep(live)
        dispatch(live)
        return _flushed(live)

    @property
    def writing(self) -> int:
        """How many accepted attempts are not durable yet."""
        return len(self.live.writing)

    @property
    def busy(self) -> bool:
        """Whether anything runs, could run, or is being written."""
        live = self.live
        return bool(live.serials or live.writing or len(live.ready))

    @property
    def demand(self) -> int:
        """How many slots could be used now."""
        return demand(self.live)

    def slots(self, horizon: float) -> int:
        """Return how many slots would end what is ready within `horizon` seconds."""
        return slots(self.live, horizon)

    def workers(self) -> tuple[Worker, ...]:
        """Return who is here, with what they have and what of it is free."""
        return workers(self.live)

    def task_of(self, serial: int) -> str | None:
        """Return the task whose current attempt this is, if it is anyone's."""
        return self.live.serials.get(serial)

    def why(self, task: str, now: float) -> str:
        """Return what a task waits for; empty if it has ended, or waits for nothing."""
        return waits_for(self.live, task, now)

    def deadline(self) -> float | None:
        """Return when a `Tick` is due, if ever."""
        return leases.deadline(self.live)

    def validate(self) -> None:
        """Raise `AssertionError` unless every promise of this state holds; for tests."""
        live = self.live
        live.values.check(live.machines)
        _check_children(live)
        in_hand = {s for lease in live.leases.values() for s in (*lease.hands, *lease.parked)}
        for serial, key in live.serials.items():
            assert serial in {live.tasks[key].serial, live.tasks[key].copy}
            assert serial in in_hand
        for key, node in live.tasks.items():
            assert node.job.key == key
            assert (node.state == "ready") == (key in live.ready), node
            assert node.serial or not node.copy, node
            assert bool(node.serial) == (node.state == "running" and not node.accepted), node
            if node.state == "waiting":
                assert node.missing or node.delegates or key in live.paused, node
                for data in node.missing:
                    assert coming(live, data), (node, data)
            if node.state not in FINAL and not node.delegates:
                for _, data in node.job.inputs:
                    assert key in live.values.data[data].readers
            if node.state == "ready":
                for _, data in node.job.inputs:
                    assert live.values.available(live.values.data[data]), node
            if node.accepted and node.state in {"running", "stored"}:
                for _, data in node.job.outputs:
                    datum = live.values.data[data]
                    assert live.values.available(datum), node
            if live.shared and node.state == "running" and node.accepted:
                assert live.writing[node.accepted] == key
        assert all(live.tasks[key].state == "waiting" for key in live.paused)
        assert all(_has_writer(live, live.tasks[key]) for key in live.writing.values())
        for datum in live.values.data.values():
            for reader in datum.readers:
                assert live.tasks[reader].state not in FINAL
        self._validate_amounts()

    def _validate_amounts(self) -> None:
        """Raise `AssertionError` unless what is taken and what is free are all there is."""
        live = self.live
        used: dict[str, tuple[int, int]] = {}
        for machine in live.machines.values():
            taken = [lease for n in machine.leases if (lease := live.leases[n]).need is not None]
            cpu, memory, named = machine.cpu, machine.memory, dict(machine.named)
            assert min(cpu, memory, *named.values(), 0) == 0, machine
            for lease in taken:
                need = lease.need
                assert need is not None
                assert len(lease.grant) == need.devices
                cpu, memory = cpu + need.cpu, memory + need.memory
                for name, amount in need.named:
                    named[name] += amount
                for room in lease.grant:
                    gpu, on_device = used.get(room.device.id, (0, 0))
                    more = room.takes(need)
                    used[room.device.id] = gpu + more[0], on_device + more[1]
            assert (cpu, memory) == (machine.offer.cpu, machine.offer.memory)
            assert tuple(sorted(named.items())) == machine.offer.named
            assert all(live.rooms[room.device.id] is room for room in machine.rooms)
        for name, room in live.rooms.items():
            gpu, on_device = used.get(name, (0, 0))
            assert min(room.gpu, room.memory) >= 0
            assert (room.gpu + gpu, room.memory + on_device) == (WHOLE, room.device.memory)


def _has_writer(live: Live, node: Node) -> bool:
    """Whether there is still somebody to write what a task gave."""
    return bool(node.delegates) or node.worker in live.machines


def _check_children(live: Live) -> None:
    """Check what concerns tasks that were added by running ones."""
    assert live.children == sum(bool(node.root) for node in live.tasks.values())
    assert live.guarded.keys() <= live.serials.keys()
    assert live.waits.keys() <= live.serials.keys()
    for node in live.tasks.values():
        assert node.guards == sum(keys.count(node.job.key) for keys in live.guarded.values()), node
        for (_, own), other in zip(node.job.outputs, node.delegates, strict=False):
            assert own in live.values.data[other].followers, node
            assert node.accepted or coming(live, other), node


def _flushed(live: Live) -> list[Instruction]:
    done: list[Instruction] = [told(live)] if live.events else []
    done.extend(live.values.drops())
    done.extend(live.instructions)
    live.instructions = []
    return done
