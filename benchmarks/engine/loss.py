"""The kernel, or the scheduler, is killed at half of the tasks: what runs again, and how long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine.sizes import Sizes
from jupyter_wf import open_store

SECONDS = 0.015
NOTES = [
    "loss: seconds are those from when the new workers had joined to the end",
    "committed: tasks that the store had after the kill, and committed_again, of these, ran again",
]


def rows(sizes: Sizes) -> list[dict[str, Any]]:
    """Kill the kernel of an embedded cluster, then the scheduler of one apart."""
    found = []
    for victim, kill in (("kernel", _kernel_killed), ("scheduler", _scheduler_killed)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            held, seconds = kill(folder, sizes.loss)
            ran = Counter(folder.joinpath("log").read_text("utf-8").split())
            assert len(ran) == sizes.loss
            again = {number for number, times in ran.items() if times > 1}
            found.append(
                {
                    "name": f"{victim} killed at half",
                    "tasks": sizes.loss,
                    "committed": len(held),
                    "committed_again": len(again & held),
                    "again": len(again),
                    "seconds": seconds,
                }
            )
    return found


def _kernel_killed(folder: Path, count: int) -> tuple[set[str], float]:
    with _program("", folder, count) as first:
        _half(folder, count)
        first.kill()
        first.wait()
    held = _committed(folder)
    with _program("", folder, count) as second:
        return held, _end(second)


def _scheduler_killed(folder: Path, count: int) -> tuple[set[str], float]:
    with ExitStack() as stack:
        address, scheduler = stack.enter_context(_cluster(folder / "first.json"))
        program = stack.enter_context(_program(address, folder, count))
        _half(folder, count)
        scheduler.kill()
        for news in _said(program):
            if "lost" in news:
                break
        held = _committed(folder)
        address, _ = stack.enter_context(_cluster(folder / "second.json"))
        assert program.stdin is not None
        program.stdin.write(address + "\n")
        program.stdin.flush()
        return held, _end(program)


def _half(folder: Path, count: int) -> None:
    """Wait until half of the bodies have run."""
    log = folder / "log"
    while not log.exists() or len(log.read_text("utf-8").split()) < count // 2:
        time.sleep(0.005)


def _committed(folder: Path) -> set[str]:
    """Return the numbers of the tasks that the store has."""
    store = open_store(folder / "store")
    try:
        return {
            str(store.get(stored.id)) for record in store.records() for _, stored in record.outputs
        }
    finally:
        store.close()


def _said(program: subprocess.Popen[str]) -> Iterator[dict[str, float]]:
    assert program.stdout is not None
    return map(json.loads, program.stdout)


def _end(program: subprocess.Popen[str]) -> float:
    """Return the seconds from when the last worker came to when all was done."""
    joined = 0.0
    for news in _said(program):
        joined = news.get("joined", joined)
        if "done" in news:
            return news["done"] - joined
    raise RuntimeError("The program ended before its tasks did.")


@contextmanager
def _program(address: str, folder: Path, count: int) -> Iterator[subprocess.Popen[str]]:
    arguments = [address, str(folder / "store"), str(folder / "log"), str(count), str(SECONDS)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.engine.loss_program", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(),
    ) as process:
        try:
            yield process
        finally:
            _end_family(process)


@contextmanager
def _cluster(file: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a scheduler and two workers by Dask's command line; give its address, and itself."""
    with ExitStack() as stack:
        common = ["--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file)]
        scheduler = _dask("dask_scheduler", "--port", "0", *common)
        stack.callback(_end_family, scheduler)
        address = ""
        while not address:
            time.sleep(0.02)
            if file.exists() and (text := file.read_text("utf-8")).endswith("}"):
                address = json.loads(text)["address"]
        for _ in range(2):
            stack.callback(_end_family, _dask("dask_worker", "--nthreads", "1", *common))
        yield address, scheduler


def _dask(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _end_family(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
    process.wait()
