"""The process that takes over from a session whose own process died.

Run as ``python -m jupyter_wf.engine.dask.successor`` by a worker's plugin, with what was left as a
pickle on its standard input. It looks up in the store what is committed, has the rest computed by
the same cluster, and ends. Each further pickle on its input names tasks that a living session asks
for: those that it has not begun, and that nothing else of it needs, it leaves to that session, and
says so by a byte on its standard output. When its input ends, its worker has, and it ends too:
another worker starts another.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable
from threading import Event, Thread
from typing import IO

from jupyter_wf.engine.abc import Job, Store
from jupyter_wf.engine.dask.deposit import Legacy
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import Cancel, Submit

#: Most seconds between two looks whether all has ended.
LOOK = 1.0


def remaining(asked: Submit, store: Store) -> tuple[list[Job], dict[str, str]]:
    """Return the jobs that are not committed, and all data that are known.

    A task that is to run though it is stored counts as committed only by the run that asked for it.
    """
    jobs, known = [], dict(asked.known)
    for job in asked.jobs:
        record = store.find(job.key)
        if record is None or not (job.requirements.cache or record.run == asked.run):
            jobs.append(job)
            continue
        given = {output: stored.id for output, stored in record.outputs}
        known.update((data, given[output]) for output, data in job.outputs)
    return jobs, known


def unneeded(jobs: Iterable[Job], elsewhere: Iterable[str]) -> set[str]:
    """Return which of the tasks that are done `elsewhere` no job needs that is not.

    Examples
    --------
    >>> from jupyter_wf.graph import Code
    >>> code = Code("cell", "", "", "0")
    >>> first = Job("a", "a", code, None, (), (("x", "ax"),))
    >>> second = Job("b", "b", code, None, (("x", "ax"),), (("y", "by"),))
    >>> sorted(unneeded([first, second], {"a", "b"})), unneeded([first, second], {"a"})
    (['a', 'b'], set())
    """
    found = set(elsewhere)
    maker = {data: job.key for job in jobs for _, data in job.outputs}
    needs = {job.key: [maker[d] for _, d in job.inputs if d in maker] for job in jobs}
    kept = [key for key in needs if key not in found]
    while kept:
        for key in needs.get(kept.pop(), ()):
            if key in found:
                found.discard(key)
                kept.append(key)
    return found


class Successor:
    """Has the rest of what a session asked for computed.

    Parameters
    ----------
    engine : LiveEngine
        Started.
    store : Store
    """

    def __init__(self, engine: LiveEngine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._jobs: list[Job] = []

    def take_over(self, asked: Iterable[Submit | Cancel]) -> None:
        """Ask for all that was asked for and is not committed."""
        for one in asked:
            if isinstance(one, Cancel):
                self._engine.cancel(one.tasks)
            else:
                jobs, known = remaining(one, self._store)
                self._jobs += jobs
                self._engine.submit(jobs, known, one.run)

    def leave(self, elsewhere: Iterable[str]) -> None:
        """Don't begin what a living session asks for, unless something else here needs it."""
        self._engine.cancel(self._engine.not_running(unneeded(self._jobs, elsewhere)))

    def finish(self) -> None:
        """Return when all has ended, and what was computed is durable."""
        news = Event()
        undo = self._engine.subscribe(lambda _: news.set())
        while self._engine.busy(job.key for job in reversed(self._jobs)):
            news.wait(LOOK)
            news.clear()
        undo()
        self._engine.flush()


def main() -> None:
    """Take over what is on the standard input."""
    from jupyter_wf.engine.dask.engine import DaskEngine
    from jupyter_wf.engine.store import open_store

    words = sys.stdin.buffer
    left: Legacy = pickle.load(words)
    store = open_store(left.store)
    engine = DaskEngine(left.scheduler, security=left.security, share=left.share, guarded=False)
    engine.start(store)
    successor = Successor(engine, store)
    successor.take_over(one for entry in left.entries for one in pickle.loads(entry))
    successor.leave(left.elsewhere)
    Thread(target=_listen, args=(words, successor), daemon=True).start()
    successor.finish()
    engine.close()
    store.close()
    os._exit(0)  # a thread still reads, which Python would not end without


def _listen(words: IO[bytes], successor: Successor) -> None:
    try:
        while True:
            successor.leave(pickle.load(words))
            os.write(sys.stdout.fileno(), b".")
    except EOFError:
        os._exit(1)


if __name__ == "__main__":
    main()
