"""One command at work: a source is opened, its tasks are defined, and run or only planned."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from jupyter_wf.cli import overrides
from jupyter_wf.engine.abc import Engine
from jupyter_wf.errors import CaptureError
from jupyter_wf.place import STORE
from jupyter_wf.run import Run
from jupyter_wf.settings import Settings, settings
from jupyter_wf.workflow import Workflow

SUPPORTED = (".ipynb", ".py")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a source ended: without a message it went through to its end."""

    message: str = ""
    bad_input: bool = False


def note(text: str) -> None:
    """Say something on stderr, which is for people."""
    sys.stderr.write(f"jupyter wf: {text}\n")


class Session:
    """A source, the workflow that it defines, and what the command line says of both.

    Within it the working directory is the source's, as it is in JupyterLab.

    Parameters
    ----------
    source : Path
    store : str or None
        Folder or URL; None is ``.jupyter_wf`` beside the source.
    scheduler : str or None
        Address of a Dask scheduler; None starts an embedded cluster.
    workers : int or None
        Workers of the embedded cluster.
    values : iterable of str
        ``NAME=VALUE`` texts.
    targets, force : iterable of str
        Names of tasks or data.
    dry : bool
        Whether nothing may be computed.
    """

    def __init__(
        self,
        source: Path,
        *,
        store: str | None = None,
        scheduler: str | None = None,
        workers: int | None = None,
        values: Iterable[str] = (),
        targets: Iterable[str] = (),
        force: Iterable[str] = (),
        dry: bool = False,
    ) -> None:
        self.source = _checked(source)
        self.values = overrides.parse(values)
        self.targets, self.force, self.dry = tuple(targets), tuple(force), dry
        self.whys: dict[str, str] = {}
        self.ended = Ended()
        self.run: Run | None = None
        self.seconds = 0.0
        self._forced: set[str] = set()
        self._engine = _engine_maker(scheduler, workers)
        self._settings = Settings(self._engine, _store_url(store, self.source), dry)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(contextlib.chdir(self.source.parent))
        token = settings.set(self._settings)
        self._stack.callback(settings.reset, token)
        self.flow = self._stack.enter_context(Workflow())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @property
    def flows(self) -> list[Workflow]:
        """The workflows that the source made, ours first."""
        return self._settings.made

    @property
    def defined(self) -> Workflow:
        """The workflow that the source put tasks in: a script may make one of its own."""
        return next((flow for flow in self.flows if flow.graph.tasks), self.flow)

    def execute(self) -> Ended:
        """Execute the source, then run what is still to be run, and wait for it."""
        started = time.perf_counter()
        if self.source.suffix == ".ipynb":
            from jupyter_wf.cli.notebook import execute
        else:
            from jupyter_wf.cli.script import execute
        self.ended = execute(self)
        if not self.ended.message and not self.dry:
            left = [name for name in self.force if name not in self._forced]
            self.run = self.flow.run(*self.targets, force=left)
            self.run.wait()
        self.seconds = time.perf_counter() - started
        return self.ended

    def start(self, flow: Workflow, task: str) -> None:
        """Start a task that was just defined, as a notebook does, unless targets were named."""
        if self.dry:
            return
        makes = {task, *(name for _, name in flow.graph.tasks[task].outputs)}
        forced = makes & set(self.force)
        force = [task] if forced else []
        # Kept, because a later plan of the same task only says that it is stored.
        self.whys[task] = flow.plan(task, force=force).steps[task].why
        if not self.targets:
            self._forced |= forced
            flow.run(task, force=force)


def _checked(source: Path) -> Path:
    if source.suffix not in SUPPORTED:
        kinds = " and ".join(SUPPORTED)
        raise CaptureError(f"{source.name}: this release reads {kinds} sources only.")
    if not source.is_file():
        raise CaptureError(f"There is no file {source}.")
    return source.resolve()


def _store_url(store: str | None, source: Path) -> str:
    if store is None:
        return str(source.parent / STORE)
    return store if "://" in store else os.path.abspath(store)  # noqa: PTH100 - a name, not a file


def _engine_maker(scheduler: str | None, workers: int | None) -> Callable[[], Engine] | None:
    if workers is not None and workers < 1:
        raise CaptureError(f"--workers must be at least 1, not {workers}.")
    if scheduler is not None and workers is not None:
        raise CaptureError("--workers is for the embedded cluster: leave it out with --scheduler.")
    if scheduler is None and workers is None:
        return None

    def make() -> Engine:
        from jupyter_wf.engine.dask import DaskEngine

        return DaskEngine(scheduler, workers=workers)

    return make
