"""Around one task, in a lease: find its inputs, run, measure, encode, hand over to the writer.

Knows no transport: threads of this process and slots of Dask workers use it alike.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_wf.context import TaskContext, current
from jupyter_wf.encodings import Encoded, decode
from jupyter_wf.engine.body import Body, failed
from jupyter_wf.engine.breaker import Breaker
from jupyter_wf.engine.devices import only
from jupyter_wf.engine.environments import Processes, perform_apart
from jupyter_wf.engine.family import Children, InputLostError, Lease
from jupyter_wf.engine.modules import Modules, modules_of
from jupyter_wf.engine.output import Sink
from jupyter_wf.engine.parking import Places
from jupyter_wf.engine.prefetch import Prefetch
from jupyter_wf.engine.signals import (
    Attempt,
    Failed,
    Finished,
    Missing,
    Source,
    Stimulus,
)
from jupyter_wf.engine.writer import Writer
from jupyter_wf.errors import StoreError
from jupyter_wf.events import Failure
from jupyter_wf.graph import Code
from jupyter_wf.records import Record
from jupyter_wf.requirements import kinds_of

#: Bytes up to which a result travels with the answer.
SMALL = 64_000
BODIES = 256

Tell = Callable[[int, str, object], None]
#: What an attempt came to, and the small values that travel with it.
Answer = tuple[Stimulus, tuple[Encoded, ...]]


@dataclass(slots=True)
class Bench:
    """What the leases of one worker process share.

    Parameters
    ----------
    name : str
        The worker's address.
    memory : mutable mapping
        Values of this worker by content id.
    fetch : callable
        Finds an input that is not in memory: takes a `Source`, raises `InputLostError`.
    writer : Writer or None
        What commits results; None if there is no store that this process can open.
    tell : callable
        Takes (serial, stream, text) for output, and (serial, "progress", (done, total, note)).
    copies : bool
        Whether inputs that were fetched stay in memory, to be dropped by the engine's word.
    modules : Modules or None
        What keeps local modules up to date; None in a process whose user reloads them himself.
    alone : bool
        Whether the process is there for one task at a time, so that its environment is the task's.
    """

    name: str
    memory: MutableMapping[str, Encoded]
    fetch: Callable[[Source], Encoded]
    writer: Writer | None
    tell: Tell
    copies: bool = True
    modules: Modules | None = None
    alone: bool = False
    executions: Counter[str] = field(default_factory=Counter)
    bodies: OrderedDict[Code, Body] = field(default_factory=OrderedDict)
    host: str = field(default_factory=platform.node)
    version: int = 0
    places: Places = field(default_factory=Places)
    durations: dict[str, float] = field(default_factory=dict)
    processes: Processes = field(default_factory=Processes)
    resident: int = field(init=False, default=0)
    prefetch: Prefetch = field(init=False)
    _given: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.prefetch = Prefetch(self.memory, self.fetch)
        self.resident = _resident()

    def is_quick(self, code: Code, limit: float) -> bool:
        """Whether a code is known to take less than `limit` seconds."""
        return self.durations.get(code.fingerprint, limit) < limit

    def perform(self, lease: Lease, attempt: Attempt, breaker: Breaker) -> Answer:
        """Run one attempt; return the answer, and the small values that travel with it."""
        nonce, job = lease.nonce, attempt.job
        if job.code.environment is not None:
            return perform_apart(self, lease, attempt, breaker)
        loaded: list[str] = []
        try:
            # Before the inputs, which may be instances of a local module's classes.
            body = self._body(job.code)
            inputs = {}
            for (slot, _), source in zip(job.inputs, attempt.sources, strict=True):
                inputs[slot] = self.load(source, loaded)
        except InputLostError as lost:
            return Missing(nonce, attempt.serial, (lost.content,)), ()
        except Exception as error:  # noqa: BLE001 - whatever a store or a decoder raises
            return failed(nonce, attempt, error), ()
        family = Children(self, lease, attempt, loaded)
        names = tuple([output for output, _ in job.outputs])
        try:
            values, cost = self._measured(attempt, body, inputs, names, breaker, family)
            del inputs
            found = family.outputs(names, values)
        except StoreError as error:
            text = f"{error} Outputs must be values that can be stored."
            kinds = kinds_of(type(error))
            return Failed(nonce, attempt.serial, Failure("StoreError", text, ""), kinds), ()
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like end a task only
            return failed(nonce, attempt, error), ()
        outputs = tuple([one if isinstance(one, str) else one.stored for one in found])
        made = {one.id: one for one in found if not isinstance(one, str)}
        added = family.taken()
        # Asked once, as to ask lets the threads in that send the answer before.
        before, self.resident = self.resident, _resident()
        grown = self.resident - before
        answer = Finished(nonce, attempt.serial, outputs, *cost, grown, tuple(loaded), added)
        return answer, self.finish(attempt, answer, made, family.given)

    def finish(
        self,
        attempt: Attempt,
        answer: Finished,
        made: Mapping[str, Encoded],
        given: Mapping[str, Encoded],
    ) -> tuple[Encoded, ...]:
        """Keep what an attempt made, have it written, and return what is small of it."""
        for encoded in made.values():
            self.keep(encoded)
        outputs = answer.outputs
        stored = tuple([one for one in outputs if not isinstance(one, str)])
        whole = len(stored) == len(outputs)
        record = self._record(attempt, stored, answer.seconds) if whole else None
        if self.writer is not None and (record is not None or given):
            self.writer.put(attempt.serial, record, {**made, **given})
        return tuple([encoded for encoded in made.values() if encoded.nbytes <= SMALL])

    def load(self, source: Source, loaded: list[str]) -> Any:
        """Return a value, as `find` finds it."""
        return decode(self.find(source, loaded))

    def find(self, source: Source, loaded: list[str]) -> Encoded:
        """Return a value; raises `InputLostError`. What was fetched for it is added to `loaded`."""
        encoded = self.memory.get(source.content)
        if encoded is None:
            encoded = self.prefetch.take(source)
            if self.copies:
                self.memory[source.content] = encoded
                loaded.append(source.content)
        elif source.content in self._given:
            self._given.discard(source.content)
            loaded.append(source.content)
        _freeze(encoded)
        return encoded

    def give(self, values: Iterable[Encoded]) -> None:
        """Hold values that came with attempts, of which the engine hears when one is read."""
        for value in values:
            if value.id not in self.memory:
                self.memory[value.id] = value
                self._given.add(value.id)

    def count(self, attempt: Attempt) -> None:
        """Count an execution."""
        self.executions[attempt.job.code.label] += 1

    def keep(self, encoded: Encoded) -> None:
        """Hold a value, read-only, for whoever reads it."""
        _freeze(encoded)
        self.memory[encoded.id] = encoded

    def _measured(
        self,
        attempt: Attempt,
        body: Body,
        inputs: dict[str, Any],
        names: tuple[str, ...],
        breaker: Breaker,
        family: Children,
    ) -> tuple[list[Any], tuple[float, float]]:
        job, serial, tell = attempt.job, attempt.serial, self.tell

        def report(done: float, total: float, note: str) -> None:
            tell(serial, "progress", (done, total, note))

        partition = job.requirements.partition
        context = TaskContext(job.name, attempt.number, partition, attempt.gpus, report, family)
        self.count(attempt)
        token = current.set(context)
        shown = only(attempt.gpus) if self.alone and attempt.gpus else nullcontext()
        try:
            with Sink(lambda stream, text: tell(serial, stream, text)), shown:
                cpu, start = time.thread_time(), time.perf_counter()
                values = breaker.guarded(lambda: body.run(job.call, inputs, names))
                seconds = time.perf_counter() - start - family.waited
                self.durations[job.code.fingerprint] = seconds
                return values, (seconds, time.thread_time() - cpu)
        finally:
            current.reset(token)

    def _body(self, code: Code) -> Body:
        body = self.bodies.get(code)
        # Equal codes compute the same, but a traceback must point to where this one stands now.
        here = (code.source, code.filename, code.first_line)
        if body is None or (body.code.source, body.code.filename, body.code.first_line) != here:
            body = self._keep(code)
        if self.modules is not None and body.modules:
            version = self.modules.follow(body.modules)
            if version != self.version:
                self.version = version
                for other in [one for one, kept in self.bodies.items() if kept.modules]:
                    del self.bodies[other]
                body = self._keep(code)
        return body

    def _keep(self, code: Code) -> Body:
        body = self.bodies[code] = Body(code, modules_of(code))
        if len(self.bodies) > BODIES:
            self.bodies.popitem(last=False)
        return body

    def _record(self, attempt: Attempt, stored: tuple[Any, ...], seconds: float) -> Record:
        job = attempt.job
        return Record(
            job.key,
            attempt.recipe,
            job.name,
            job.code.parts,
            tuple(
                [
                    (slot, data, source.content)
                    for (slot, data), source in zip(job.inputs, attempt.sources, strict=True)
                ]
            ),
            tuple([(output, s) for (output, _), s in zip(job.outputs, stored, strict=True)]),
            attempt.run,
            self.host,
            self.name,
            seconds,
            time.time(),
        )


def _freeze(encoded: Encoded) -> None:
    """Make arrays read-only: data are immutable, so writing to them raises, and never corrupts."""
    for leaf in encoded.leaves:
        if leaf.flags.writeable:
            leaf.flags.writeable = False


_STATM = Path("/proc/self/statm")
_FILE = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC) if _STATM.exists() else -1
_PAGE = os.sysconf("SC_PAGE_SIZE") if _FILE >= 0 else 0


def _resident() -> int:
    """Return the bytes of memory this process has, or 0 where that can't be had cheaply."""
    return int(os.pread(_FILE, 128, 0).split()[1]) * _PAGE if _FILE >= 0 else 0
