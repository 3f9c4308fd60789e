"""What every benchmark shares: samples, percentiles, a table with ratios, and a JSON file.

A benchmark is a module with a ``main()`` that measures, and hands its rows to `report`. Whatever is
compared is measured in the same run on the same machine, because a ratio means something elsewhere
and seconds do not.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("jupyter_wf", "dask", "distributed", "numpy", "zarr", "jax", "ipython", "jupyterlab")


@dataclass
class Table:
    """Rows of named figures.

    Examples
    --------
    >>> table = Table()
    >>> table.add("dask", tasks=100, p50=0.0106)
    >>> table.add("lease", tasks=100, p50=0.0003)
    >>> table.compare("p50", "dask")
    >>> print(table.text())
    name   tasks     p50  p50 / dask
    -----  -----  ------  ----------
    dask     100  0.0106           1
    lease    100  0.0003      0.0283
    """

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, /, **figures: Any) -> None:
        """Append a row; figures are numbers (seconds, bytes, counts), words or None."""
        self.rows.append({"name": name, **figures})

    def compare(self, figure: str, baseline: str) -> None:
        """Add to each row its `figure` over that of the row named `baseline`.

        Raises ``LookupError`` if no row has that name and figure.
        """
        found = [r[figure] for r in self.rows if r["name"] == baseline and figure in r]
        if not found:
            raise LookupError(f"No row named {baseline!r} has the figure {figure!r}.")
        for row in self.rows:
            value = row.get(figure)
            row[f"{figure} / {baseline}"] = value / found[0] if value and found[0] else None

    def text(self) -> str:
        """Return the rows as an aligned table, without lists of samples."""
        columns = list(
            dict.fromkeys(c for row in self.rows for c in row if not isinstance(row[c], list))
        )
        cells = [[_cell(row.get(column)) for column in columns] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        lines = [columns, ["-" * width for width in widths], *cells]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def measure(
    work: Callable[[], object], *, repeat: int, warmup: int = 1, seconds: float = 60.0
) -> list[float]:
    """Time `work` and return one wall time in seconds for each repetition.

    Parameters
    ----------
    work : callable
        Called `warmup` times unmeasured, then up to `repeat` times.
    repeat, warmup : int
    seconds : float
        No further repetition starts after this long, so that a slow case still ends; at least one
        is made.
    """
    for _ in range(warmup):
        work()
    samples: list[float] = []
    begun = time.perf_counter()
    while len(samples) < repeat and (not samples or time.perf_counter() - begun < seconds):
        start = time.perf_counter()
        work()
        samples.append(time.perf_counter() - start)
    return samples


def percentiles(samples: Iterable[float]) -> dict[str, float]:
    """Return ``p50``, ``p99``, ``mean``, ``low``, ``high`` and the count ``n`` of samples.

    With fewer than a hundred samples, ``p99`` is interpolated towards the greatest of them.

    Examples
    --------
    >>> percentiles([1.0, 2.0, 3.0])["p50"]
    2.0
    """
    values = sorted(samples)
    if not values:
        raise ValueError("There are no samples to take percentiles of.")
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {
        "p50": cuts[49],
        "p99": cuts[98],
        "mean": fmean(values),
        "low": values[0],
        "high": values[-1],
        "n": len(values),
    }


def machine() -> dict[str, Any]:
    """Describe what the figures were taken on: cores, processor, memory, Python and packages."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "processor": _processor(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: what the platform says is less precise, but all there is
    return platform.processor() or platform.machine()


def report(
    name: str, rows: Table | Sequence[Mapping[str, Any]], notes: str | Sequence[str] = ()
) -> None:
    """Print `rows` as a table and write them to ``benchmarks/results/NAME.json``.

    Parameters
    ----------
    name : str
        Name of the benchmark.
    rows : Table or sequence of mappings
        What was measured; seconds and bytes, not milliseconds and MB.
    notes : str or sequence of str
        What a reader must know to judge the figures.
    """
    table = rows if isinstance(rows, Table) else Table([dict(row) for row in rows])
    lines = [notes] if isinstance(notes, str) else list(notes)
    here = machine()
    print(f"\n{name}: {here['cores']} cores, {here['processor']}, Python {here['python']}\n")
    print(table.text())
    for line in lines:
        print(f"* {line}")
    RESULTS.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": here,
        "rows": table.rows,
        "notes": lines,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(
        f"\nWritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
    )
