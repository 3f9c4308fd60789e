"""Calls are sent once each, in the order of their thread, soon, and all before the end."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event, RLock, Thread

from jupyter_wf.calls import MOST, Calls
from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.testing import PATIENCE
from jupyter_wf.graph import Code

CODE = Code("function", "f", "", "fingerprint")


def job(name: str) -> Job:
    return Job(name, name, CODE, None, (), ())


def test_calls_from_many_threads_are_sent_once() -> None:
    sent: list[str] = []
    calls = Calls(lambda jobs, known: sent.extend(j.key for j in jobs), RLock())

    def work(thread: int) -> None:
        for number in range(300):
            calls.add(job(f"{thread}-{number}"), {})

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls.close()
    assert sorted(sent) == sorted(f"{t}-{n}" for t in range(4) for n in range(300))
    for thread in range(4):
        own = [name for name in sent if name.startswith(f"{thread}-")]
        assert own == [f"{thread}-{n}" for n in range(300)], "a job overtook one that it may need"


def test_no_job_overtakes_one_that_is_being_sent() -> None:
    sent: list[str] = []
    begun, second = Event(), Event()

    def send(jobs: list[Job], known: Mapping[str, str]) -> None:
        if jobs[0].key == "first":
            begun.set()
            second.wait(0.2)
        sent.extend(job.key for job in jobs)

    calls = Calls(send, RLock())
    other = Thread(target=lambda: calls.add(job("first"), {}))
    other.start()
    assert begun.wait(PATIENCE)
    calls.add(job("needs first"), {})
    calls.flush()
    second.set()
    other.join()
    assert sent == ["first", "needs first"]
    calls.close()


def test_a_call_is_sent_though_nobody_waits() -> None:
    told = Event()
    calls = Calls(lambda jobs, known: told.set(), RLock())
    calls.add(job("alone"), {})
    assert told.wait(PATIENCE)
    calls.close()


def test_a_full_batch_goes_at_once_and_keeps_what_it_knows() -> None:
    sent: list[tuple[int, Mapping[str, str]]] = []
    calls = Calls(lambda jobs, known: sent.append((len(jobs), known)), RLock())
    for number in range(MOST):
        calls.add(job(str(number)), {str(number): "content"})
    calls.flush()
    assert sum(count for count, _ in sent) == MOST
    assert len({key for _, known in sent for key in known}) == MOST
    calls.close()


def test_closing_ends_the_thread_whatever_it_is_doing() -> None:
    for _ in range(100):
        calls = Calls(lambda jobs, known: None, RLock())
        for name in ("first", "second", "third"):
            calls.add(job(name), {})
        calls.close()
        assert calls._thread is not None
        assert not calls._thread.is_alive()
