"""How attempts, answers and values travel: tuples, pickled, with large buffers beside them.

Frozen dataclasses take several times longer to pickle than the tuples of what is in them, and a
task's code travels to each worker once, not with every attempt.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from dask.sizeof import sizeof
from distributed.protocol import to_serialize

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.signals import (
    NOBODY,
    Attempt,
    Awaiting,
    Failed,
    Family,
    Finished,
    Missing,
    Source,
    Spawned,
    Stimulus,
)
from jupyter_wf.events import Failure
from jupyter_wf.graph import Call, Code
from jupyter_wf.records import Stored
from jupyter_wf.requirements import Requirements

#: Bytes from which a buffer is not copied into the message.
ASIDE = 64_000
#: Bytes to whose multiple an array's memory must be aligned: the largest element there is.
ALIGNMENT = 16
PLAIN = Requirements()


def pack(thing: Any) -> dict[str, Any]:
    """Make a message of anything that pickles; large arrays in it are not copied."""
    aside: list[Any] = []

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        view = np.frombuffer(buffer.raw(), dtype=np.uint8)
        if view.nbytes < ASIDE:
            return True
        aside.append(to_serialize(view))
        return False

    head = pickle.dumps(thing, protocol=5, buffer_callback=keep_inside)
    return {"head": head, "aside": aside}


def unpack(message: dict[str, Any]) -> Any:
    """Return what was packed; arrays in it that are large share memory with the message.

    Those that lie askew in it are copied: NumPy adds up such an array in another order, so that a
    sum would depend on the way its array came.
    """
    return pickle.loads(message["head"], buffers=[_aligned(b) for b in message["aside"]])


def _aligned(buffer: Any) -> Any:
    view = np.frombuffer(buffer, dtype=np.uint8)
    return view.copy() if view.ctypes.data % ALIGNMENT else view


def code_id(code: Code) -> tuple[str, str, int, str]:
    """Return what tells codes apart that must be sent apart, tracebacks included."""
    return code.fingerprint, code.filename, code.first_line, code.source


def attempt_out(attempt: Attempt, code: int) -> tuple[Any, ...]:
    """Turn an attempt into a tuple; `code` is the number under which its code was sent."""
    job = attempt.job
    requirements = job.requirements
    return (
        attempt.serial,
        attempt.number,
        attempt.recipe,
        attempt.sources,
        attempt.run,
        attempt.gpus,
        code,
        job.key,
        job.name,
        None if job.call is None else (job.call.digest, job.call.payload),
        job.inputs,
        job.outputs,
        None if requirements == PLAIN else requirements.partition,
    )


def attempt_in(parts: tuple[Any, ...], codes: dict[int, Code]) -> Attempt:
    """Turn such a tuple back into an attempt."""
    serial, number, recipe, sources, run, gpus, code, *rest = parts
    key, name, call, inputs, outputs, partition = rest
    requirements = PLAIN if partition is None else Requirements(partition=partition)
    job = Job(key, name, codes[code], Call(*call) if call else None, inputs, outputs, requirements)
    sources = tuple([Source(*source) for source in sources])
    return Attempt(serial, number, job, recipe, sources, run, gpus)


def encoded_out(value: Encoded) -> tuple[Any, ...]:
    """Turn an encoded value into a tuple."""
    return value.kind, value.text, value.leaves, value.nbytes, value.summary, value.id


def family_out(family: Family, codes: Callable[[Code], int]) -> tuple[Any, ...]:
    """Turn what an attempt added into a tuple; `codes` gives the numbers of codes that are sent."""
    jobs = [
        (
            codes(job.code),
            job.key,
            job.name,
            None if job.call is None else (job.call.digest, job.call.payload),
            job.inputs,
            job.outputs,
            None if job.requirements == PLAIN else job.requirements,
        )
        for job in family.jobs
    ]
    given = [(key, (one.id, one.kind, one.nbytes, one.summary)) for key, one in family.given]
    return jobs, given


def family_in(parts: tuple[Any, ...], codes: Mapping[int, Code]) -> Family:
    """Turn such a tuple back into what was added."""
    jobs, given = parts
    return Family(
        tuple(
            [
                Job(key, name, codes[code], Call(*call) if call else None, inputs, outputs, needs)
                for code, key, name, call, inputs, outputs, needs in [
                    (*job[:6], job[6] or PLAIN) for job in jobs
                ]
            ]
        ),
        tuple([(key, Stored(*one)) for key, one in given]),
    )


def answer_out(
    answer: Stimulus, small: tuple[Encoded, ...], codes: Callable[[Code], int]
) -> tuple[Any, ...]:
    """Turn an answer, and the small values that go with it, into a tuple."""
    match answer:
        case Finished():
            near = {value.id: value for value in small}
            outputs = [
                one
                if isinstance(one, str)
                else encoded_out(near[one.id])
                if one.id in near
                else (one.id, one.kind, one.nbytes, one.summary)
                for one in answer.outputs
            ]
            return (
                "finished",
                answer.nonce,
                answer.serial,
                outputs,
                answer.seconds,
                answer.cpu,
                answer.grown,
                answer.loaded,
                family_out(answer.family, codes) if any(answer.family) else None,
            )
        case Spawned():
            return "spawned", answer.nonce, answer.serial, family_out(answer.family, codes)
        case Awaiting():
            return "awaiting", answer.nonce, answer.serial, answer.data
        case Failed():
            failure = answer.failure
            told = (failure.type, failure.message, failure.traceback, failure.lines)
            return "failed", answer.nonce, answer.serial, told, answer.kinds
        case Missing():
            return "missing", answer.nonce, answer.serial, answer.contents
    raise TypeError(f"{type(answer).__name__} is not an answer.")


def answer_in(parts: tuple[Any, ...], codes: Mapping[int, Code]) -> tuple[Stimulus, list[Encoded]]:
    """Turn such a tuple back into an answer and values."""
    kind, nonce, serial, *more = parts
    match kind:
        case "spawned":
            return Spawned(nonce, serial, family_in(more[0], codes)), []
        case "awaiting":
            return Awaiting(nonce, serial, more[0]), []
        case "failed":
            return Failed(nonce, serial, Failure(*more[0]), more[1]), []
        case "missing":
            return Missing(nonce, serial, more[0]), []
    outputs, seconds, cpu, grown, loaded, added = more
    family = NOBODY if added is None else family_in(added, codes)
    small: list[Encoded] = []
    stored: list[Stored | str] = []
    for output in outputs:
        if isinstance(output, str):
            stored.append(output)
        elif len(output) == 4:
            stored.append(Stored(*output))
        else:
            value = Encoded(*output)
            small.append(value)
            stored.append(value.stored)
    made = tuple(stored)
    return Finished(nonce, serial, made, seconds, cpu, grown, loaded, family), small


@sizeof.register(Encoded)
def _size(value: Encoded) -> int:
    return 200 + value.nbytes
