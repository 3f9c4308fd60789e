"""The same tasks with others: a program for any Python environment that has one of them.

``python peer_program.py NAME PART SIZES`` prints what it measured as one line of JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

MARK = "measured: "
WIDTH = 10
NUMBERS = itertools.count()


def nothing(number: int) -> int:
    """Do no work."""
    return number


def rest(seconds: float, number: int) -> float:  # noqa: ARG001 - equal calls may be one task
    """Sleep, and return for how long."""
    import time

    began = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - began


def join(*parts: float) -> float:
    """Add up."""
    return sum(parts)


class Dask:
    """Futures on the very cluster that our engine embeds, with nothing of ours in between."""

    nests = True

    def __init__(self) -> None:
        from distributed import Client

        from jupyter_wf.engine.dask.cluster import embedded

        self._cluster = embedded(2)
        self._client = Client(self._cluster)
        self._client.wait_for_workers(2)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task."""
        return self._client.submit(function, *args, pure=False)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all."""
        return list(self._client.gather(list(futures)))

    def close(self) -> None:
        """End the processes."""
        self._client.close()
        self._cluster.close()


class Ray:
    """Two processors, without a dashboard."""

    nests = True

    def __init__(self) -> None:
        import ray

        self._ray = ray
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        self._remote = {f: ray.remote(f) for f in (nothing, rest, join)}

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task."""
        return self._remote[function].remote(*args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all."""
        return list(self._ray.get(list(futures)))

    def close(self) -> None:
        """End the processes."""
        self._ray.shutdown()


class Parsl:
    """The executor for high throughput, with two workers on this machine."""

    nests = True

    def __init__(self) -> None:
        import tempfile

        import parsl
        from parsl.config import Config
        from parsl.executors import HighThroughputExecutor
        from parsl.providers import LocalProvider

        self._parsl = parsl
        executor = HighThroughputExecutor(
            max_workers_per_node=2,
            address="127.0.0.1",
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
        folder = tempfile.mkdtemp()
        parsl.load(Config(executors=[executor], run_dir=folder, strategy="none"))
        self._apps = {f: parsl.python_app(f) for f in (nothing, rest, join)}

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task."""
        return self._apps[function](*args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all."""
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the processes."""
        self._parsl.dfk().cleanup()


class Pool:
    """Two processes of the standard library, which know no dependencies."""

    nests = False

    def __init__(self) -> None:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        self._pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Start a task."""
        return self._pool.submit(function, *args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all."""
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


PEERS: dict[str, type[Any]] = {"dask": Dask, "ray": Ray, "parsl": Parsl, "pool": Pool}


# -- parts -----------------------------------------------------------------------------------------


def roundtrip(peer: Any, batches: Sequence[tuple[int, int]]) -> dict[str, list[float]]:
    """Return the seconds of batches, by their size."""
    found: dict[str, list[float]] = {}
    for count, rounds in batches:
        samples = []
        for _ in range(rounds + 3):
            began = time.perf_counter()
            peer.results([peer.submit(nothing, next(NUMBERS)) for _ in range(count)])
            samples.append(time.perf_counter() - began)
        found[str(count)] = samples[3:]
    return found


def throughput(peer: Any, count: int) -> dict[str, tuple[int, float]]:
    """Return (tasks, seconds) of independent tasks, and of a tree of tasks and joins."""
    began = time.perf_counter()
    peer.results([peer.submit(nothing, next(NUMBERS)) for _ in range(count)])
    found = {"independent": (count, time.perf_counter() - began)}
    if peer.nests:
        began = time.perf_counter()
        row, tasks = [peer.submit(nothing, i) for i in range(count)], count
        while len(row) > 1:
            row = [peer.submit(join, *row[i : i + WIDTH]) for i in range(0, len(row), WIDTH)]
            tasks += len(row)
        assert peer.results(row) == [sum(range(count))]
        found["fork-join"] = (tasks, time.perf_counter() - began)
    return found


def utilisation(peer: Any, naps: Sequence[tuple[float, int]]) -> dict[str, float]:
    """Return what share of two workers' time bodies got, by their seconds."""
    found = {}
    for seconds, count in naps:
        peer.results([peer.submit(rest, seconds, next(NUMBERS)) for _ in range(4)])
        began = time.perf_counter()
        slept = peer.results([peer.submit(rest, seconds, next(NUMBERS)) for _ in range(count)])
        found[str(seconds)] = sum(slept) / 2 / (time.perf_counter() - began)
    return found


def main(name: str, part: str, sizes: str) -> None:
    """Measure one part with one of them."""
    peer = PEERS[name]()
    try:
        peer.results([peer.submit(nothing, next(NUMBERS)) for _ in range(50)])
        print(MARK + json.dumps(globals()[part](peer, **json.loads(sizes))), flush=True)
    finally:
        peer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
