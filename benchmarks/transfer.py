"""A large array from worker to worker: ours against a Dask future of the same array, in one run.

Both are timed on the worker that wants the array, in turn, over TCP and over TLS; meanwhile each
worker is sent a small message every few milliseconds, and the longest that one had to wait for its
answer is the stall. One task at a time, so that nothing is measured but the moving.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness import Table, report

NBYTES = 1_000_000_000
ROUNDS = 3
SESSION = "benchmark"
EVERY = 0.002


def main() -> None:
    """Measure and report."""
    from distributed import LocalCluster

    from jupyter_wf.engine.dask.cluster import embedded

    table = Table()
    for name, cluster in (
        ("TCP", LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")),
        ("TLS", embedded(2)),
    ):
        with cluster:
            _compare(table, name, cluster)
    report(
        "transfer",
        table,
        [
            f"{NBYTES / 1e9:g} GB of float64; GB/s and stalls are medians of {ROUNDS} rounds",
            "stall: longest wait for the answer to a small message, while the array moves",
            "idle: the same while nothing moves",
        ],
    )


def _compare(table: Table, name: str, cluster: Any) -> None:
    from distributed import Client

    from jupyter_wf.engine.dask.plugin import LeasePlugin

    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        client.register_plugin(LeasePlugin())
        giver, taker = client.scheduler_info(n_workers=-1)["workers"]
        array = client.submit(make, workers=[giver], pure=False)
        content = client.submit(hold, array, workers=[giver], pure=False).result()
        idle = _stalls(client, (giver, taker), lambda: time.sleep(0.5))[0]
        found: dict[str, list[tuple[float, float]]] = {"Dask": [], "ours": []}
        for number in range(ROUNDS + 1):
            for kind, move, what in (("Dask", by_dask, array.key), ("ours", by_us, content)):
                moved = partial(client.submit, move, what, giver, workers=[taker], pure=False)
                worst, seconds = _stalls(client, (giver, taker), lambda m=moved: m().result())
                if number:  # the first warms up
                    found[kind].append((seconds, worst))
        base = median(seconds for seconds, _ in found["Dask"])
        for kind, samples in found.items():
            seconds = median(seconds for seconds, _ in samples)
            table.add(
                f"{name}, {kind}",
                gb_per_s=NBYTES / seconds / 1e9,
                speed=base / seconds,
                stall=median(worst for _, worst in samples),
                high=max(worst for _, worst in samples),
                idle=idle,
            )


def make() -> Any:
    """Make the array."""
    return np.random.default_rng(0).random(NBYTES // 8)


def hold(array: Any) -> str:
    """Keep an array where leases keep theirs; return its content id."""
    from distributed import get_worker

    from jupyter_wf.encodings import encode
    from jupyter_wf.engine.dask.memory import Memory

    encoded = encode(array)
    Memory(get_worker().data, SESSION)[encoded.id] = encoded
    return encoded.id


def by_us(content: str, giver: str) -> float:
    """Fetch the array as a lease does; return the seconds."""
    from distributed import get_worker

    from jupyter_wf.engine.dask.memory import find_input
    from jupyter_wf.engine.signals import Source

    find = find_input(get_worker(), SESSION, None)
    start = time.perf_counter()
    found = find(Source(content, NBYTES, (giver,), durable=False))
    seconds = time.perf_counter() - start
    assert found.leaves[0].nbytes == NBYTES
    return seconds


def by_dask(key: str, giver: str) -> float:
    """Fetch the array as a Dask worker does; return the seconds."""
    from distributed import get_worker
    from distributed.worker import get_data_from_worker

    worker = get_worker()
    start = time.perf_counter()
    asked = get_data_from_worker(worker.rpc, [key], giver, who=worker.address)
    answer = asyncio.run_coroutine_threadsafe(asked, worker.loop.asyncio_loop).result()
    seconds = time.perf_counter() - start
    assert answer["data"][key].nbytes == NBYTES
    return seconds


def _stalls(client: Any, addresses: tuple[str, ...], work: Any) -> tuple[float, Any]:
    """Return the longest wait for an echo from any of the workers during `work`, and its result."""
    worst = [0.0]
    over = asyncio.Event()

    async def echo(address: str) -> None:
        while not over.is_set():
            start = time.perf_counter()
            await client.rpc(address).echo(data=b"")
            worst[0] = max(worst[0], time.perf_counter() - start)
            await asyncio.sleep(EVERY)

    loop = client.loop.asyncio_loop
    echoes = [asyncio.run_coroutine_threadsafe(echo(address), loop) for address in addresses]
    try:
        result = work()
    finally:
        loop.call_soon_threadsafe(over.set)
        for one in echoes:
            one.result()
    return worst[0], result


if __name__ == "__main__":
    main()
