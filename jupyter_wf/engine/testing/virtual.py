"""The live graph with virtual leases and virtual time: exact, and as fast as it can be played."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.signals import (
    Attempt,
    Durable,
    Finished,
    HandOver,
    Instruction,
    LeaseJoined,
    Stimulus,
    Submit,
)
from jupyter_wf.engine.state import LiveGraph
from jupyter_wf.records import Stored
from jupyter_wf.resources import Offer


@dataclass(frozen=True, slots=True)
class Span:
    """One attempt, from when it was handed over to its end, in virtual seconds."""

    task: str
    worker: str
    gpus: tuple[str, ...]
    start: float
    end: float


@dataclass
class VirtualCluster:
    """Plays jobs on workers whose tasks take as long as they are said to.

    Parameters
    ----------
    workers : mapping
        Name -> (partition, offer, slots).
    seconds : callable
        Job -> how long its body takes.
    every : callable, optional
        Called with the graph after every step.
    """

    workers: Mapping[str, tuple[str | None, Offer, int]]
    seconds: Callable[[Job], float]
    every: Callable[[LiveGraph], object] = lambda _: None
    graph: LiveGraph = field(default_factory=lambda: LiveGraph(lambda _: None))
    spans: list[Span] = field(default_factory=list)
    now: float = 0.0
    _agenda: list[tuple[float, int, str, Attempt, float]] = field(default_factory=list)
    _free: dict[str, float] = field(default_factory=dict)

    def play(self, arrivals: Iterable[tuple[float, Iterable[Job]]]) -> float:
        """Submit jobs at their times; return when the last of them ended."""
        joined = [
            LeaseJoined(f"{name}-{i}", name, partition, offer)
            for name, (partition, offer, slots) in self.workers.items()
            for i in range(slots)
        ]
        self._feed(*joined)
        coming = sorted(((at, tuple(jobs)) for at, jobs in arrivals), key=lambda pair: pair[0])
        while coming or self._agenda:
            if coming and (not self._agenda or coming[0][0] <= self._agenda[0][0]):
                self.now, jobs = coming.pop(0)
                self._feed(Submit(jobs, {}))
                continue
            self.now, ended = self._agenda[0][0], []
            while self._agenda and self._agenda[0][0] <= self.now:
                _, _, nonce, attempt, start = heapq.heappop(self._agenda)
                ended += self._end(nonce, attempt, start)
            self._feed(*ended)
        return self.now

    def _end(self, nonce: str, attempt: Attempt, start: float) -> list[Stimulus]:
        job = attempt.job
        worker = nonce.rpartition("-")[0]
        self.spans.append(Span(job.name, worker, attempt.gpus, start, self.now))
        values = tuple([Stored(f"{data}-value", "json", 1) for _, data in job.outputs])
        done = Finished(nonce, attempt.serial, values, self.now - start)
        return [done, Durable(attempt.serial)]

    def _feed(self, *stimuli: Stimulus) -> None:
        for order in self.graph.handle(self.now, *stimuli):
            self._take(order)
        self.every(self.graph)

    def _take(self, order: Instruction) -> None:
        if isinstance(order, HandOver):
            for attempt in order.attempts:
                start = max(self.now, self._free.get(order.nonce, 0.0))
                end = self._free[order.nonce] = start + self.seconds(attempt.job)
                heapq.heappush(self._agenda, (end, attempt.serial, order.nonce, attempt, start))
