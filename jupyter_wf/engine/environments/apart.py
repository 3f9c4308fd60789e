"""Around one task that has an environment: its inputs, a process to run it in, what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.body import failed
from jupyter_wf.engine.breaker import Breaker, Stopped
from jupyter_wf.engine.environments.pool import Processes
from jupyter_wf.engine.environments.process import Desk, EndedError
from jupyter_wf.engine.family import InputLostError, Lease
from jupyter_wf.engine.signals import Attempt, Failed, Finished, Missing, Source, Stimulus
from jupyter_wf.errors import PackageError
from jupyter_wf.events import Failure
from jupyter_wf.requirements import kinds_of


class Bench(Protocol):
    """What is needed of the worker."""

    processes: Processes

    def tell(self, serial: int, stream: str, what: object, /) -> None:
        """Pass on output and progress."""

    def count(self, attempt: Attempt) -> None:
        """Count an execution."""

    def find(self, source: Source, loaded: list[str]) -> Encoded:
        """Return a value."""

    def keep(self, encoded: Encoded) -> None:
        """Hold a value."""

    def finish(
        self,
        attempt: Attempt,
        answer: Finished,
        made: Mapping[str, Encoded],
        given: Mapping[str, Encoded],
    ) -> tuple[Encoded, ...]:
        """Keep what an attempt made, and have it written."""


def perform_apart(
    bench: Bench, lease: Lease, attempt: Attempt, breaker: Breaker
) -> tuple[Stimulus, tuple[Encoded, ...]]:
    """Run one attempt in a process of its environment.

    Values pass as they are encoded: the two sides may have different versions of NumPy, or classes
    that the other lacks.

    Returns
    -------
    answer : Stimulus
    small : tuple of Encoded
        The small values that travel with it.
    """
    nonce, serial, environment = lease.nonce, attempt.serial, attempt.job.code.environment
    assert environment is not None
    if attempt.gpus:
        devices = {"CUDA_VISIBLE_DEVICES": ",".join(attempt.gpus)}
        environment = replace(environment, env=tuple({**dict(environment.env), **devices}.items()))
    desk = Desk(bench, lease, attempt)

    def say(done: float, total: float, text: str) -> None:
        bench.tell(serial, "progress", (done, total, text))
        bench.tell(serial, "log", f"{text}\n")

    def run() -> Stimulus:
        with bench.processes.one(environment, say) as process:
            bench.count(attempt)
            return process.perform(desk, inputs)

    try:
        inputs = [bench.find(source, desk.loaded) for source in attempt.sources]
        answer = breaker.guarded(run)
    except InputLostError as lost:
        return Missing(nonce, serial, (lost.content,)), ()
    except (PackageError, EndedError) as error:
        failure = Failure(type(error).__name__, str(error), "")
        return Failed(nonce, serial, failure, kinds_of(type(error))), ()
    except (Exception, Stopped) as error:  # noqa: BLE001 - whatever a store or the system raises
        return failed(nonce, attempt, error), ()
    if not isinstance(answer, Finished):
        return answer, ()
    made = {one.id: desk.values[one.id] for one in answer.outputs if not isinstance(one, str)}
    answer = replace(answer, loaded=tuple(desk.loaded))
    return answer, bench.finish(attempt, answer, made, desk.given)
