"""What a task's environment costs: to resolve, to build, to use again, and with large values.

The same function, which imports NumPy, in an environment with another NumPy than the notebook's and
without one; on threads of this process, so that nothing but the environment's processes is started.
uv's own cache is warm: what is measured is not the network.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from typing import Any

import numpy as np

import jupyter_wf as wf
from benchmarks.harness import Table, measure, percentiles, report

ENVIRONMENT = {"pip": ["numpy<2"]}
FRESH, STARTS, CALLS = 3, 15, 300
LARGE, MOVES = 64_000_000, 10


def version(_: int) -> str:
    """Import NumPy, and do no more."""
    import numpy

    return numpy.__version__


def doubled(array: Any, _: int) -> Any:
    """Read a large value and make another."""
    return array * 2


def main() -> None:
    """Measure and report."""
    table = Table()
    numbers = itertools.count()
    wf.task(version, environment=ENVIRONMENT).code  # noqa: B018 - fills uv's own cache
    with wf.Workflow(wf.LocalEngine(1), "memory://"):
        wf.task(version, environment=ENVIRONMENT).invoke(next(numbers)).get()
    with tempfile.TemporaryDirectory() as folder:
        resolve, build = _fresh(folder, numbers)
        _row(table, "resolve, once on a host", resolve)
        _row(table, "first task: build, start, run", build)
        _row(table, "first task in another worker", _started(numbers))
        for name, environment in (("in the kept process", ENVIRONMENT), ("without one", None)):
            with wf.Workflow(wf.LocalEngine(1), "memory://") as flow:
                task = wf.task(version, environment=environment)
                samples = measure(lambda: task.invoke(next(numbers)).get(), repeat=CALLS, warmup=3)  # noqa: B023 - called at once
                _row(table, f"next task, {name}", samples)
                double = wf.task(doubled, environment=environment)
                array = flow.put(np.ones(LARGE // 8))
                samples = measure(
                    lambda: double.invoke(array, next(numbers)).wait(),  # noqa: B023 - called at once
                    repeat=MOVES,
                    warmup=1,
                )
                _row(table, f"64 MB in and out, {name}", samples)
    report(
        "environments",
        table,
        [
            f"environment: {ENVIRONMENT}; this process has NumPy {np.__version__}",
            "64 MB: hashing and computing included, so their difference is what passing costs",
        ],
    )


def _fresh(folder: str, numbers: Any) -> tuple[list[float], list[float]]:
    """Time both steps with an empty cache of ours; the last of them is left in place."""
    resolve, build = [], []
    for turn in range(FRESH):
        os.environ["JUPYTER_WF_CACHE"] = f"{folder}/{turn}"
        task = wf.task(version, environment=ENVIRONMENT)
        before = time.perf_counter()
        task.code  # noqa: B018 - the lock is found when it is first asked for
        resolve.append(time.perf_counter() - before)
        with wf.Workflow(wf.LocalEngine(1), "memory://"):
            before = time.perf_counter()
            task.invoke(next(numbers)).get()
            build.append(time.perf_counter() - before)
    return resolve, build


def _started(numbers: Any) -> list[float]:
    """Time the first task of workers that find the environment built."""
    found = []
    for _ in range(STARTS):
        task = wf.task(version, environment=ENVIRONMENT)
        with wf.Workflow(wf.LocalEngine(1), "memory://"):
            before = time.perf_counter()
            task.invoke(next(numbers)).get()
            found.append(time.perf_counter() - before)
    return found


def _row(table: Table, name: str, samples: list[float]) -> None:
    found = percentiles(samples)
    table.add(name, p50=found["p50"], low=found["low"], high=found["high"], n=found["n"])


if __name__ == "__main__":
    main()
