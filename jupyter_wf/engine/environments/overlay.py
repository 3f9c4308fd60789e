"""Installs what environments ask for: each set of packages once on a host, in its own folder.

Builds run in threads of their own. An attempt only waits for one, so that its being stopped does
not cost the next attempt what was done so far. Whoever builds sweeps what has long been unused.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread

from jupyter_wf.engine.environments.folder import (
    alone,
    folder,
    making,
    sweep,
    using,
    write,
)
from jupyter_wf.engine.environments.installer import uv
from jupyter_wf.environment import Environment
from jupyter_wf.errors import PackageError
from jupyter_wf.fingerprint import PYTHON, digest

#: Seconds for which a failed build answers for all who ask: retries, other tasks, other workers.
FRESH = 10.0
#: Seconds between two moments at which an attempt that waits for a build can be stopped.
LOOK = 0.05
#: Lines that uv writes while it installs, of which the last says that all is there.
STEPS = ("Resolved", "Prepared", "Installed")
#: Beginnings of lines that say nothing new: the lock has the packages.
DULL = ("Using Python", " ")

#: Takes steps done, their number, and a line of text.
Say = Callable[[float, float, str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an environment's tasks run.

    Parameters
    ----------
    python : str
        Path of its Python.
    close : callable
        Tells that it is not used any more; it is kept until then, and for long after.
    """

    python: str
    close: Callable[[], None] = lambda: None


def place_of(environment: Environment, say: Say) -> Place:
    """Return where an environment's tasks run, built if need be.

    Parameters
    ----------
    environment : Environment
        With its lock.
    say : callable
        Takes (steps done, steps, text) while it is built.

    Raises
    ------
    PackageError
        It can't be built here; carries the installer's words.
    """
    asked = environment.python
    if asked is not None and asked.split(".")[:2] != PYTHON.split("."):
        raise PackageError(
            f"The task asks for Python {asked}, but this worker runs {PYTHON}, and a task's "
            f"compiled code can't pass from one to the other. Start it with Python {asked}."
        )
    if not environment.builds:
        return Place(sys.executable)
    final = folder("overlays") / _name(environment)
    while True:
        if not final.exists():
            _builds.join(environment, final, say)
        lock = using(final.with_suffix(".lock"))
        if final.exists():
            break
        lock.close()  # it was swept in this very moment
    python = final / "bin" / "python"
    if not python.exists():
        lock.close()
        raise PackageError(
            f"The Python from which {final} was made is gone. Delete that folder, and run again."
        )
    return Place(str(python), lock.close)


def _name(environment: Environment) -> str:
    """Name the folder of an overlay: it serves one Python on one kind of machine."""
    here = (sys.base_prefix, platform.python_version(), platform.system(), platform.machine())
    return digest("overlay", environment.packages, *here)


class _Build:
    """One build under way in this process."""

    def __init__(self) -> None:
        self.done = Event()
        self.error: BaseException | None = None
        self.listeners: list[Say] = []
        self.last: tuple[float, float, str] | None = None

    def say(self, step: float, text: str) -> None:
        self.last = (step, len(STEPS), text)
        for listener in [*self.listeners]:
            listener(*self.last)


class _Builds:
    """The builds of this process, by folder."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: dict[Path, _Build] = {}

    def join(self, environment: Environment, final: Path, say: Say) -> None:
        """Wait until an environment is built; begin that if nobody in this process has."""
        with self._lock:
            build = self._running.get(final)
            if build is None:
                build = self._running[final] = _Build()
                Thread(
                    target=self._run,
                    args=(environment, final, build),
                    name=f"build-{final.name[:8]}",
                    daemon=True,
                ).start()
        if build.last is not None:
            say(*build.last)
        build.listeners.append(say)
        try:
            while not build.done.wait(LOOK):
                pass
        finally:
            build.listeners.remove(say)
        if build.error is not None:
            raise PackageError(str(build.error))

    def _run(self, environment: Environment, final: Path, build: _Build) -> None:
        try:
            _build(environment, final, build.say)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            build.error = error
        with self._lock:
            del self._running[final]
        build.done.set()
        with suppress(OSError):
            sweep(final.parent)


_builds = _Builds()


def _build(environment: Environment, final: Path, say: Callable[[float, str], None]) -> None:
    """Build, unless another process does or did."""
    shown = ", ".join(environment.pip) or f"Python {environment.python}"
    failed = final.with_suffix(".failed")

    def waiting() -> None:
        say(0, f"another process builds the environment of {shown}")

    with ExitStack() as stack:
        stack.enter_context(alone(final.with_suffix(".lock"), waiting))
        if final.exists():
            return
        if failed.exists() and time.time() - failed.stat().st_mtime < FRESH:
            raise PackageError(
                f"{failed.read_text()}\n(That was less than {FRESH:g} s ago, so it was not tried "
                f"again. Run again then.)"
            )
        try:
            with making(final) as made:
                _install(environment, made, shown, say)
        except PackageError as error:
            write(failed, str(error))
            raise
        failed.unlink(missing_ok=True)


def _install(
    environment: Environment, made: Path, shown: str, say: Callable[[float, str], None]
) -> None:
    say(0, f"building the environment of {shown}")
    asked = environment.python
    python = asked if asked not in (None, PYTHON, platform.python_version()) else sys.executable
    command = ["venv", "--quiet", "--no-project", "--relocatable", "--python", str(python)]
    uv([*command, str(made)], f"A Python {python} could not be had", index=False)
    if not environment.lock:
        return
    step = 0

    def told(line: str) -> None:
        nonlocal step
        step += line.startswith(STEPS)
        if not line.startswith(DULL):
            say(step, line)

    lock = made / "requirements.txt"
    lock.write_text("".join(f"{line}\n" for line in environment.lock))
    command = ["pip", "install", "--no-deps", "--python", str(made / "bin" / "python")]
    # Not in every process that starts there, which may not be allowed to keep what it compiled.
    command.append("--compile-bytecode")
    uv([*command, "-r", str(lock)], f"The packages {shown} could not be installed", say=told)
