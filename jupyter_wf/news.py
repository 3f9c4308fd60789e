"""Where the events of a workflow and its engine arrive, are remembered, and go on to listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Condition

from jupyter_wf.events import Event, Listener
from jupyter_wf.run import Run
from jupyter_wf.status import Status


class News:
    """The status, who waits for it, and who listens; safe to use from any thread.

    Its lock is a leaf: nothing else is called while it is held, listeners included.
    """

    def __init__(self) -> None:
        self.status = Status()
        self._changed = Condition()
        self._listeners: list[Listener] = []
        self._runs: list[Run] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every batch of events; return the function that undoes this."""
        self._listeners = [*self._listeners, listener]

        def undo() -> None:
            self._listeners = [found for found in self._listeners if found is not listener]

        return undo

    def publish(self, events: tuple[Event, ...]) -> None:
        """Take in events, wake up who waits, and pass them on."""
        if not events:
            return
        with self._changed:
            self.status.fold(events)
            ended = [run for run in self._runs if run.observe(events)]
            if ended:
                self._runs = [run for run in self._runs if run not in ended]
            self._changed.notify_all()
        if ended:
            events = (*events, *(run.ended() for run in ended))
        for listener in self._listeners:
            listener(events)

    def wait(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `done()`, which is asked after each batch; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(done, timeout)

    def expect(self, tasks: Iterable[str]) -> None:
        """Give tasks that are asked for a status, and keep it, so that one can wait for them."""
        with self._changed:
            for key in tasks:
                self.status.expect(key)

    def unsettled(self) -> list[str]:
        """Return the tasks for which one may still wait."""
        with self._changed:
            return [key for key, task in self.status.tasks.items() if not task.settled]

    def renew(self, tasks: Iterable[str]) -> None:
        """Forget how tasks ended, as they are about to be submitted again."""
        with self._changed:
            for key in tasks:
                self.status.renew(key)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that have not ended."""
        return tuple(self._runs)

    def watch(self, run: Run) -> Run:
        """Tell `run` about all events until it ends."""
        with self._changed:
            run.begin()
            if run.state == "running":
                self._runs.append(run)
        return run

    def forget_workers(self) -> None:
        """Drop what is known of workers, as the engine was exchanged."""
        with self._changed:
            self.status.workers.clear()
