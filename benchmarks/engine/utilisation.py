"""How much of two workers' time tasks get that sleep for 1, 10 and 100 ms."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.engine.bodies import rest
from benchmarks.engine.ours import workflow
from benchmarks.engine.peers import Peers
from benchmarks.engine.sizes import Sizes

NOTES = ["busy: seconds that bodies took, as they measured themselves, of those of two workers"]


def rows(sizes: Sizes, peers: Peers) -> list[dict[str, Any]]:
    """Measure ours and the peers' share of the workers' time."""
    ours = {}
    with workflow():
        for seconds, count in sizes.naps:
            for data in [rest.invoke(seconds, -1 - i) for i in range(4)]:
                data.get()
            began = time.perf_counter()
            naps = [data.get() for data in [rest.invoke(seconds, i) for i in range(count)]]
            ours[str(seconds)] = sum(naps) / 2 / (time.perf_counter() - began)
    found = {"ours": ours, **peers.ask("utilisation", naps=sizes.naps)}
    return [
        {"name": f"busy, {1e3 * seconds:g} ms", "who": who, "tasks": count, "busy": busy}
        for seconds, count in sizes.naps
        for who, all_busy in found.items()
        for busy in [all_busy[str(seconds)]]
    ]
