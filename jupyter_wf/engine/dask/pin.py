"""On the scheduler: what makes clusters that scale see the demand in leases.

Dask starts workers for the seconds of work that it expects, and takes a lease for as long as the
last ones were: after a few short ones, a hundred that wait are no reason to start anything. Here
each lease is expected to last an hour. It is also noted, for all engines, whether anybody asks the
scheduler how many workers there should be: only then is it worth asking for more slots than are.

The scheduler need not have this package: the module travels there as it stands.
"""

from __future__ import annotations

from typing import Any

from distributed import SchedulerPlugin

#: Where it is noted that the cluster scales by demand.
TOPIC = "wf-scales"
PREFIX = "wflease"
SECONDS = 3600.0


class Pin(SchedulerPlugin):
    """Keeps the expected duration of leases where it was put; one serves all sessions."""

    idempotent = True
    name = "jupyter-wf-pin"

    def start(self, scheduler: Any) -> None:
        """Listen to who asks for the number of workers."""
        self.scheduler = scheduler
        self.noted = False
        target = scheduler.adaptive_target

        def asked(*args: Any, **kwargs: Any) -> Any:
            if not self.noted:
                self.noted = True
                scheduler.log_event(TOPIC, {"scales": True})
            return target(*args, **kwargs)

        scheduler.adaptive_target = scheduler.handlers["adaptive_target"] = asked

    def transition(self, key: Any, *_: Any, **__: Any) -> None:
        """Undo what Dask learned of the duration of leases."""
        if isinstance(key, str) and key.startswith(PREFIX):
            task = self.scheduler.tasks.get(key)
            if task is not None:
                task.prefix.duration_average = SECONDS
