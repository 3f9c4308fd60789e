"""Whether a task that failed is tried again, and after how long.

An exception travels as the names of its class and of all that this derives from, since only the
worker knows the class itself (`requirements.kinds_of`).
"""

from __future__ import annotations

from collections.abc import Collection

from jupyter_wf.fingerprint import digest
from jupyter_wf.requirements import Requirements

#: Most seconds between two attempts, unless the first delay asked for is longer.
LONGEST = 60.0


def may_retry(asked: Requirements, failures: int, kinds: Collection[str]) -> bool:
    """Whether a task is tried again.

    Parameters
    ----------
    asked : Requirements
    failures : int
        How often it has failed by now.
    kinds : collection of str
        What `kinds_of` says of the last failure; none if there was no exception.

    Examples
    --------
    >>> from jupyter_wf.requirements import kinds_of
    >>> asked = Requirements(retries=1, retry_on=("OSError",), no_retry_on=("FileNotFoundError",))
    >>> may_retry(asked, 1, kinds_of(TimeoutError)), may_retry(asked, 2, kinds_of(TimeoutError))
    (True, False)
    >>> may_retry(asked, 1, kinds_of(FileNotFoundError))
    False
    """
    if failures > asked.retries or _any(asked.no_retry_on, kinds):
        return False
    return not asked.retry_on or _any(asked.retry_on, kinds)


def pause(asked: Requirements, key: str, failures: int) -> float:
    """Return the seconds until a task is tried again.

    The delay doubles with every failure, up to `LONGEST`. A quarter of it, up or down, depends on
    the task, so that tasks that failed together don't all come back together.

    Examples
    --------
    >>> [round(pause(Requirements(retry_delay=1.0), "k", n), 2) for n in (1, 2, 3, 9)]
    [1.15, 2.35, 4.69, 47.02]
    """
    first = asked.retry_delay
    delay = min(first * 2.0 ** min(failures - 1, 30), max(LONGEST, first))
    luck = int(digest("pause", key, str(failures))[:8], 16) / 0xFFFFFFFF
    return delay * (0.75 + 0.5 * luck)


def _any(asked: tuple[str, ...], kinds: Collection[str]) -> bool:
    """Whether one of the names asked for is among the kinds; a bare one fits in any module."""
    bare = {kind.rpartition(".")[2] for kind in kinds}
    return any(name in kinds or name in bare for name in asked)
