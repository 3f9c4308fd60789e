"""While tasks are under way, Python looks less often for objects that only refer to each other.

Each task leaves some fifteen objects that stay: handles, nodes of graphs, what is known of values.
Python counts what is made and by that looks through all objects of the process, of which a session
has hundreds of thousands: a third of what a task costs the kernel, and each look stops all of it
for a tenth of a second. Cycles are found all the same, only later, and as ever when nothing runs.
"""

from __future__ import annotations

import gc
from threading import Lock

#: How many more objects than before there are to be, at which Python looks; its own number is 700.
RARELY = 10_000


class Collector:
    """Python's collector, which is one for the process, however many engines are busy in it.

    Examples
    --------
    >>> before, collector = gc.get_threshold(), Collector()
    >>> collector.enter(); gc.get_threshold()[0]
    10000
    >>> collector.leave(); gc.get_threshold() == before
    True
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._busy = 0
        self._before = self._set = gc.get_threshold()

    def enter(self) -> None:
        """Have it look rarely, unless it does already, or never."""
        with self._lock:
            self._busy += 1
            if self._busy == 1:
                self._before = self._set = gc.get_threshold()
                if 0 < self._before[0] < RARELY:
                    self._set = (RARELY, *self._before[1:])
                    gc.set_threshold(*self._set)

    def leave(self) -> None:
        """Have it look as before once nobody is busy; what was set meanwhile stays."""
        with self._lock:
            self._busy -= 1
            if not self._busy and gc.get_threshold() == self._set:
                gc.set_threshold(*self._before)


collector = Collector()
