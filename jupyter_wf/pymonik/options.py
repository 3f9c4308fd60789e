"""`TaskOptions`: how a task is scheduled, said in layers of which the last one wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from jupyter_wf.requirements import Requirements, requirements

PREFIX = "pmk_"


@dataclass
class TaskOptions:
    """What a task asks of the cluster; None leaves it to the layer below.

    Parameters
    ----------
    max_duration : timedelta or None
        After which an attempt is stopped.
    priority : int or None
        Of the tasks that are ready, those with a higher one start first.
    max_retries : int or None
        How often a failed attempt is repeated.
    partition_id : str or None
        Name of a class of workers.
    application_name, application_version, application_namespace, application_service, engine_type
        Kept for the task to read; nothing here depends on them.
    options : dict of str to str
        Likewise.
    """

    max_duration: timedelta | None = None
    priority: int | None = None
    max_retries: int | None = None
    partition_id: str | None = None
    application_name: str | None = None
    application_version: str | None = None
    application_namespace: str | None = None
    application_service: str | None = None
    engine_type: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def over(self, base: TaskOptions) -> TaskOptions:
        """Return these options, with those of `base` where nothing is said here.

        Examples
        --------
        >>> TaskOptions(priority=3).over(TaskOptions(priority=1, max_retries=5)).max_retries
        5
        """
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return TaskOptions(
            **{
                name: getattr(base, name) if value is None or value == {} else value
                for name, value in said.items()
            }
        )

    @property
    def requirements(self) -> Requirements:
        """The same in this package's words."""
        limit = self.max_duration
        return requirements(
            partition=self.partition_id,
            retries=self.max_retries or 0,
            timeout=None if limit is None else limit.total_seconds(),
            priority=self.priority or 0,
        )


#: What PymoniK takes where nobody says anything.
DEFAULTS = TaskOptions(timedelta(seconds=300), priority=1, max_retries=5)


def duration(value: timedelta | float | None) -> timedelta | None:
    """Return a duration that may be given as seconds."""
    return timedelta(seconds=value) if isinstance(value, int | float) else value


def split(keywords: Mapping[str, Any]) -> tuple[dict[str, Any], TaskOptions]:
    """Tell a function's own keyword arguments from the options among them, ``pmk_…``.

    Examples
    --------
    >>> rest, options = split({"x": 1, "pmk_max_duration": 60})
    >>> rest, options.max_duration.total_seconds()
    ({'x': 1}, 60.0)
    """
    known = {f.name for f in fields(TaskOptions)}
    rest = {name: value for name, value in keywords.items() if not name.startswith(PREFIX)}
    said = {n.removeprefix(PREFIX): v for n, v in keywords.items() if n.startswith(PREFIX)}
    for name in said:
        if name not in known:
            names = ", ".join(PREFIX + one for one in sorted(known))
            raise TypeError(f"{PREFIX}{name} is no option of a task. There are: {names}.")
    if "max_duration" in said:
        said["max_duration"] = duration(said["max_duration"])
    return rest, TaskOptions(**said)
