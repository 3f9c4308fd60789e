"""News for what is shown: one subscription to a workflow, shared by all its cards and views.

Events come from any thread, thousands a second. A feed notes only *that* something was touched;
its own thread then asks each touched watcher to look again, never more often than it wants to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from jupyter_wf.events import Event, GraphChanged

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Watcher:
    refresh: Callable[[], None]
    every: float
    task: str | None
    key: str | None = None
    touched: bool = True
    next: float = 0.0


@dataclass(eq=False)
class Feed:
    """The watchers of one workflow.

    Parameters
    ----------
    flow : Workflow
        Held weakly: a feed keeps nothing alive.
    """

    flow: ref[Workflow]
    _watchers: list[_Watcher] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _unsubscribe: Callable[[], None] | None = None
    _moved: bool = True

    def watch(
        self, refresh: Callable[[], None], every: float, task: str | None = None
    ) -> Callable[[], None]:
        """Call `refresh`, from the feed's thread, soon after what is watched was touched.

        Parameters
        ----------
        refresh : callable
            Called once at the start, too.
        every : float
            Least time between two calls, in seconds.
        task : str or None
            Name of the task that is watched; None watches everything.

        Returns
        -------
        callable
            Undoes this. When it has returned, no call begins any more.
        """
        watcher = _Watcher(refresh, every, task)
        flow = self.flow()
        with self._news:
            self._watchers = [*self._watchers, watcher]
            self._moved = True
            if self._unsubscribe is None and flow is not None:
                self._unsubscribe = flow.subscribe(self._hear)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="jupyter_wf-feed", daemon=True
                )
                self._thread.start()
            self._news.notify_all()

        def undo() -> None:
            with self._news:
                self._watchers = [w for w in self._watchers if w is not watcher]
                if not self._watchers and self._unsubscribe is not None:
                    self._unsubscribe()
                    self._unsubscribe = None
                self._news.notify_all()

        return undo

    def _hear(self, events: tuple[Event, ...]) -> None:
        touched = {getattr(event, "task", None) for event in events}
        flow = self.flow()
        if flow is not None:
            # What happens to a task that another has added is news of that one, too.
            known = (flow.status.tasks.get(key or "") for key in touched)
            touched |= {status.root for status in known if status is not None}
        moved = any(isinstance(event, GraphChanged) for event in events)
        with self._news:
            self._moved |= moved
            found = False
            for watcher in self._watchers:
                if watcher.task is None or moved or watcher.key in touched:
                    watcher.touched = found = True
            if found:
                self._news.notify_all()

    def _work(self) -> None:
        while True:
            with self._news:
                watcher = self._due()
                if watcher is None:
                    self._thread = None
                    return
            started = time.monotonic()
            try:
                watcher.refresh()
            except Exception:
                log.exception("A view could not be brought up to date.")
            ended = time.monotonic()
            # One that takes long gets half the time at most, so that the kernel stays responsive.
            watcher.next = max(watcher.next, ended + (ended - started))

    def _due(self) -> _Watcher | None:
        """Wait until a watcher is due; None when there are none any more."""
        while self._watchers:
            if self._moved:
                self._learn_keys()
            now = time.monotonic()
            waiting = [w for w in self._watchers if w.touched]
            first = min(waiting, key=lambda w: w.next, default=None)
            if first is not None and first.next <= now:
                first.touched, first.next = False, now + first.every
                return first
            self._news.wait(None if first is None else first.next - now)
        return None

    def _learn_keys(self) -> None:
        flow = self.flow()
        if flow is None:
            self._watchers = []
            return
        self._moved = False
        # The workflow may hold its own lock while it waits for ours, so ours is let go here.
        self._news.release()
        try:
            keys = flow.keys.tasks
        finally:
            self._news.acquire()
        for watcher in self._watchers:
            if watcher.task is not None:
                watcher.key = keys.get(watcher.task)
                watcher.touched = True


_feeds: WeakKeyDictionary[Workflow, Feed] = WeakKeyDictionary()
_guard = threading.Lock()


def feed_of(flow: Workflow) -> Feed:
    """Return the feed of a workflow, made at first use."""
    with _guard:
        if flow not in _feeds:
            _feeds[flow] = Feed(ref(flow))
        return _feeds[flow]
