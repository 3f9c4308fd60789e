"""From ``invoke`` to the value, for batches of tasks that do nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from benchmarks.engine.bodies import nothing
from benchmarks.engine.ours import workflow
from benchmarks.engine.peers import Peers
from benchmarks.engine.sizes import Sizes
from benchmarks.harness import measure, percentiles

NOTES = ["round trip: invoke to get of the last of a batch; cdf: the samples, sorted, in seconds"]


def rows(sizes: Sizes, peers: Peers) -> list[dict[str, Any]]:
    """Measure ours and the peers' round trips."""
    found = {"ours": _ours(sizes), **peers.ask("roundtrip", batches=sizes.batches)}
    return [
        {"name": f"round trip, {count}", "who": who, **percentiles(samples), "cdf": sorted(samples)}
        for count, _ in sizes.batches
        for who, all_samples in found.items()
        for samples in [all_samples[str(count)]]
    ]


def _ours(sizes: Sizes) -> dict[str, list[float]]:
    numbers = itertools.count()

    def batch(count: int) -> None:
        for data in [nothing.invoke(next(numbers)) for _ in range(count)]:
            data.get()

    with workflow():
        return timed(batch, sizes.batches)


def timed(
    batch: Callable[[int], object], batches: tuple[tuple[int, int], ...]
) -> dict[str, list[float]]:
    """Return the seconds of each round, by size of the batch."""
    return {
        str(count): measure(lambda: batch(count), repeat=rounds, warmup=3)  # noqa: B023 - at once
        for count, rounds in batches
    }
