"""Sessions on one cluster: how many slot-seconds each gets, and how long a plain Dask task waits.

Two engines, each in a process of its own, on a cluster of two worker processes: one has tasks of
0.2 s, the other of 10 ms, both more than can be done. Then the same with twice the share for the
second. Plain Dask tasks are sent beside them, one after the other.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.harness import Table, percentiles, report

SECONDS = 30.0
PLAIN = 10
LONG, SHORT = 0.2, 0.01

PROGRAM = """
import sys, time
from jupyter_wf.engine.dask import DaskEngine
from jupyter_wf.engine.store import open_store
from jupyter_wf.engine.testing import cell
from jupyter_wf.events import TaskComputed
address, store, seconds, count, share = sys.argv[1:]
engine = DaskEngine(address, share=float(share))
engine.start(open_store(store))
ends = []
engine.subscribe(lambda news: ends.extend(one for one in news if isinstance(one, TaskComputed)))
jobs = [
    cell(f"import time\\ntime.sleep({seconds})\\nx = {i}", name=f"n{i}", outputs=["x"])
    for i in range(int(count))
]
engine.submit(jobs, {})
while not ends:
    time.sleep(0.01)
print(engine._session, flush=True)
sys.stdin.readline()
engine.cancel([job.key for job in jobs])
engine.close()
"""


def main() -> None:
    """Measure and report."""
    from distributed import LocalCluster

    table = Table()
    for shares in ((1.0, 1.0), (1.0, 2.0)):
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
            tempfile.TemporaryDirectory() as folder,
        ):
            _compare(table, cluster, Path(folder), shares)
    report(
        "sharing",
        table,
        [
            f"tasks of {LONG:g} s against tasks of {SHORT:g} s, for {SECONDS:g} s, on two slots",
            "slot-seconds of the leases of each, as the workers count them",
            "fair: what the second has over what it should have of the slot-seconds of both",
            "plain: seconds from submit to result of a Dask task that does nothing, beside them",
        ],
    )


def _compare(table: Table, cluster: Any, folder: Path, shares: tuple[float, float]) -> None:
    from distributed import Client

    sessions = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", PROGRAM, cluster.scheduler_address, folder / name),
                *(str(seconds), str(count), str(share)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, seconds, count, share in (
            ("long", LONG, 2000, shares[0]),
            ("short", SHORT, 20_000, shares[1]),
        )
    ]
    names = [session.stdout.readline().strip() for session in sessions if session.stdout]
    waits = []
    with Client(cluster, set_as_default=False) as client:
        start, before_all = time.time(), _held(client)
        for number in range(PLAIN):
            time.sleep(SECONDS / PLAIN / 2)
            before = time.perf_counter()
            client.submit(len, [number]).result()
            waits.append(time.perf_counter() - before)
        time.sleep(max(0.0, start + SECONDS - time.time()))
        seconds = time.time() - start
        held = _held(client) - before_all
        for session in sessions:
            session.communicate("\n")
        long, short = (held[name] for name in names)
    due = (long + short) * shares[1] / sum(shares)
    waited = percentiles(waits)
    table.add(
        f"shares {shares[0]:g} : {shares[1]:g}",
        long=long,
        short=short,
        fair=short / due,
        used=(long + short) / (2 * seconds),
        plain_p50=waited["p50"],
        plain_high=waited["high"],
    )


def _held(client: Any) -> Counter[str]:
    """Return the slot-seconds that the workers' leases of each session have held."""

    def accounts(dask_worker: Any) -> dict[str, float]:
        return dict(dask_worker.plugins["jupyter-wf"].share.held)

    found: Counter[str] = Counter()
    for one in client.run(accounts).values():
        found.update(one)
    return found


if __name__ == "__main__":
    main()
