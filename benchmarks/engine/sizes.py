"""How much each part measures: all of it, a quick look, or just enough to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts and seconds of all parts.

    Parameters
    ----------
    batches : tuple of (int, int)
        Round trips: tasks in a batch, and how many batches.
    throughput : tuple of int
        Tasks in one go.
    peers : int
        The most tasks that others are given in one go: they take minutes for what we do in seconds.
    naps : tuple of (float, int)
        Utilisation: seconds of a task, and how many.
    slots, waves : int
        Parallel efficiency: sleeping tasks of `nap` seconds, `waves` for each slot.
    nap : float
    pending : int
        Tasks that wait while memory is measured.
    steps : tuple of int
        Lengths of chains of delegation.
    loss : int
        Tasks, at half of which something is killed.
    records : int
        Records that a journal is replayed from.
    drift : tuple of (int, int)
        Tasks in a run, and how many runs.
    """

    batches: tuple[tuple[int, int], ...] = ((1, 500), (10, 200), (100, 60))
    throughput: tuple[int, ...] = (10_000, 100_000)
    peers: int = 3_000
    naps: tuple[tuple[float, int], ...] = ((0.001, 4_000), (0.01, 600), (0.1, 80))
    slots: int = 64
    waves: int = 4
    nap: float = 1.0
    pending: int = 50_000
    steps: tuple[int, ...] = (10_000, 100_000)
    loss: int = 300
    records: int = 100_000
    drift: tuple[int, int] = (5_000, 10)


FULL = Sizes()
QUICK = Sizes(
    batches=((1, 100), (10, 30), (100, 10)),
    throughput=(10_000,),
    peers=500,
    naps=((0.001, 1_000), (0.01, 200), (0.1, 20)),
    waves=2,
    pending=10_000,
    steps=(2_000, 10_000),
    records=20_000,
    drift=(1_000, 10),
)
TINY = Sizes(
    batches=((1, 3), (10, 2)),
    throughput=(30,),
    peers=20,
    naps=((0.001, 10),),
    slots=4,
    waves=2,
    nap=0.05,
    pending=50,
    steps=(30,),
    loss=20,
    records=200,
    drift=(20, 2),
)
