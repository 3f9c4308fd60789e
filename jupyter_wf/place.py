"""Where a workflow computes and keeps: its engine and its store, made at first use."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.errors import EngineError, WorkflowError
from jupyter_wf.events import TaskChanged
from jupyter_wf.settings import Settings

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow

STORE = ".jupyter_wf"
#: Seconds for which an engine that is let go may take to write what was computed.
AT_EXIT = 30.0


class Place:
    """The engine and the store of one workflow.

    Parameters
    ----------
    flow : Workflow
    lock : RLock
        The workflow's.
    engine, store
        As `Workflow` takes them.
    told : Settings
        What is taken where these say nothing.
    """

    def __init__(
        self,
        flow: Workflow,
        lock: RLock,
        engine: Engine | None,
        store: str | Path | Store | None,
        told: Settings,
    ) -> None:
        self._flow, self._lock = flow, lock
        self._make_engine = told.engine or embedded if engine is None else lambda: engine
        self._engine: Engine | None = None
        self._store = store if isinstance(store, Store) else None
        self._url = (told.store or STORE) if store is None else store
        #: Whether it is over: nothing runs any more.
        self.closed = False

    @property
    def store(self) -> Store:
        """Where values are kept."""
        if self._store is not None:
            return self._store
        with self._lock:
            if self._store is None:
                from jupyter_wf.engine.store import open_store

                assert not isinstance(self._url, Store)
                self._store = open_store(self._url)
            return self._store

    @property
    def engine(self) -> Engine:
        """What runs tasks."""
        with self._lock:
            self._check_open()
            if self._engine is None:
                self._engine = self._make_engine()
                self._engine.start(self.store)
                self._engine.subscribe(self._flow.news.publish)
            return self._engine

    def move(self, engine: Engine) -> None:
        """Run on another engine from now on; what is under way is cancelled."""
        self._check_open()
        engine.start(self.store)
        with self._lock:
            old, self._engine = self._engine, engine
            engine.subscribe(self._flow.news.publish)
        if old is not None:
            self._leave(old)
        self._flow.news.forget_workers()

    def flush(self) -> None:
        """Wait until all that was computed is durable, and learn what others committed."""
        if self._engine is not None:
            self._engine.flush()
        self.store.refresh()

    def close(self) -> None:
        """Let go of the engine and the store."""
        with self._lock:
            engine, self.closed = self._engine, True
        if engine is not None:
            self._leave(engine)
        if self._store is not None:
            self._store.close()

    def _leave(self, engine: Engine) -> None:
        """Cancel what is under way, wait until what was computed is durable, and end an engine."""
        with suppress(EngineError):  # it was closed, or lost its machines
            engine.cancel(self._flow.news.unsettled())
        engine.flush(AT_EXIT)
        engine.close()
        now, why = time.time(), "the engine that it was on has ended"
        left = self._flow.news.unsettled()
        self._flow.news.publish(tuple([TaskChanged(now, k, "cancelled", why=why) for k in left]))

    def _check_open(self) -> None:
        if self.closed:
            raise WorkflowError("This workflow is closed. Make a new one.")


def embedded(target: Any = None) -> Engine:
    """Return an engine on a Dask cluster, or on an embedded one."""
    from jupyter_wf.engine.dask import DaskEngine

    return DaskEngine(target)
