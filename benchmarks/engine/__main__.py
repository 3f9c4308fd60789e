"""``python -m benchmarks.engine``: measure all parts, or some, and report."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.engine import (
    delegation,
    drift,
    journal,
    loss,
    roundtrip,
    slots,
    throughput,
    utilisation,
)
from benchmarks.engine.peers import Peers, home
from benchmarks.engine.sizes import FULL, QUICK
from benchmarks.harness import report

PARTS: dict[str, Any] = {
    "roundtrip": roundtrip,
    "throughput": throughput,
    "utilisation": utilisation,
    "slots": slots,
    "delegation": delegation,
    "loss": loss,
    "journal": journal,
    "drift": drift,
}
#: Those that are measured beside others.
BESIDE = ("roundtrip", "throughput", "utilisation")


def main() -> None:
    """Measure, print one table a part, and write one file a part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="these parts")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--steps", type=int, nargs="+", help="lengths of chains of delegation")
    parser.add_argument(
        "--peers", type=Path, help=f"environment of Python with Ray and Parsl (default: {home()})"
    )
    parser.add_argument("--alone", action="store_true", help="compare with nobody")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else FULL
    if asked.steps:
        sizes = replace(sizes, steps=tuple(asked.steps))
    peers = Peers(asked.peers, ()) if asked.alone else Peers(asked.peers)
    for name in asked.only:
        rows = PARTS[name].rows
        measured = rows(sizes, peers) if name in BESIDE else rows(sizes)
        missing = [f"{who} is absent: {why}" for who, why in peers.absent.items()]
        report(f"engine-{name}", compared(measured), [*PARTS[name].NOTES, *missing])


def compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to our rows how many times a peer's figure theirs is.

    Examples
    --------
    >>> ours = {"name": "one", "who": "ours", "p50": 1.0}
    >>> compared([ours, {"name": "one", "who": "ray", "p50": 4.0}])[0]["p50 / ray"]
    0.25
    """
    for row in [row for row in rows if row.get("who") == "ours"]:
        for other in rows:
            if other["name"] == row["name"] and other["who"] != "ours":
                for figure in ("p50", "per_second"):
                    if figure in row:
                        row[f"{figure} / {other['who']}"] = row[figure] / other[figure]
    return rows


if __name__ == "__main__":
    main()
