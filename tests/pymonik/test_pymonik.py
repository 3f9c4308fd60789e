"""A session, its tasks, their options, and the handles on what they return."""

from __future__ import annotations

import inspect
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jupyter_wf as wf
from jupyter_wf import pymonik
from jupyter_wf.pymonik import (
    MultiResultHandle,
    Pymonik,
    PymonikContext,
    ResultHandle,
    Task,
    TaskOptions,
    task,
)


@task
def add(a: Any, b: Any = 10) -> Any:
    return a + b


@task(require_context=True)
def told(ctx: PymonikContext) -> TaskOptions:
    assert ctx.task_handler is not None
    return ctx.task_handler.task_options


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Task", "func require_context func_name task_options"),
        ("Task.invoke", "self args pymonik delegate task_options kwargs"),
        ("Task.map_invoke", "self args_list pymonik delegate task_options kwargs"),
        (
            "Pymonik",
            (
                "endpoint partition environment is_worker batch_size task_options "
                "disable_events_client polling_interval polling_batch_size local_session store"
            ),
        ),
        ("Pymonik.put", "self obj name"),
        ("Pymonik.put_many", "self objects names"),
        ("Pymonik.upload_materialize", "self mat force_upload"),
        ("Pymonik.register_tasks", "self tasks"),
        ("Pymonik.close", "self"),
        ("Pymonik.cancel", "self"),
        ("Pymonik.is_worker", "self"),
        (
            "task",
            (
                "_func require_context function_name task_options partition max_duration priority "
                "max_retries"
            ),
        ),
        ("ResultHandle", "result_id session_id pymonik_instance"),
        ("ResultHandle.wait", "self"),
        ("ResultHandle.get", "self"),
        ("MultiResultHandle", "result_handles"),
        ("MultiResultHandle.append", "self other"),
        ("MultiResultHandle.extend", "self other"),
        ("PymonikContext", "task_handler logger"),
        ("PymonikContext.from_local", "logger"),
        (
            "PymonikContext.retrieve_object",
            "self result_id auto_unpickle check_exists force_retrieve",
        ),
        ("PymonikContext.get_object_path", "self result_id"),
        ("PymonikContext.object_exists_locally", "self result_id"),
        ("PymonikContext.materialize_file", "self mat"),
        ("Materialize", "source_path worker_path content_hash is_directory result_id"),
        ("materialize", "source_path worker_path"),
    ],
)
def test_signatures_are_pymonik_s(name: str, parameters: str) -> None:
    found: Any = pymonik
    for part in name.split("."):
        found = getattr(found, part)
    assert [*inspect.signature(found).parameters] == parameters.split()


@pytest.mark.parametrize(
    ("invoke", "expected"),
    [
        pytest.param(lambda s: add.invoke(1, 2), 3, id="plain"),
        pytest.param(lambda s: add.invoke(1), 11, id="default"),
        pytest.param(lambda s: add.invoke(1, b=3), 4, id="keyword"),
        pytest.param(lambda s: add.invoke(add.invoke(1, 2), s.put(4)), 7, id="handles"),
        pytest.param(lambda s: add.invoke([s.put(1)], ([2],)[0]), [1, 2], id="in a list"),
        pytest.param(
            lambda s: Task(sum, func_name="total").invoke(add.map_invoke([(1, 2), (3, 4)])),
            10,
            id="many handles are a list",
        ),
        pytest.param(lambda s: Task(np.sum).invoke(np.arange(4.0)), 6.0, id="of a package"),
        pytest.param(lambda s: Task(lambda: 42, func_name="answer").invoke(), 42, id="nothing"),
        pytest.param(
            lambda s: Task(lambda: 42, func_name="answer").invoke(Pymonik.NoInput),
            42,
            id="no input",
        ),
        pytest.param(lambda s: add.invoke("__no_input__", "!"), "__no_input__!", id="a text"),
        pytest.param(lambda s: add.invoke(1, 2, pymonik=s, pmk_priority=3), 3, id="options"),
    ],
)
def test_a_call_gives_its_value(session: Pymonik, invoke: Any, expected: Any) -> None:
    handle = invoke(session)
    assert isinstance(handle, ResultHandle)
    assert handle.wait() is handle
    assert handle.get() == expected


def test_a_task_can_be_called_as_always() -> None:
    assert add(1, 2) == 3
    assert repr(add) == "<task add>"
    assert add.__name__ == "add"


def test_many_handles_are_a_list(session: Pymonik) -> None:
    handles = add.map_invoke([(i, 1) for i in range(5)])
    assert len(handles) == 5
    assert handles[1].get() == 2
    assert isinstance(handles[2:], MultiResultHandle)
    assert handles[2:].wait().get() == [3, 4, 5]
    assert [handle.get() for handle in handles] == handles.get()
    handles.append(add.invoke(0, 0))
    handles.extend(add.map_invoke([(6, 6)]))
    handles.extend([add.invoke(7, 7)])
    assert handles.get() == [1, 2, 3, 4, 5, 0, 12, 14]
    with pytest.raises(TypeError, match="append"):
        handles.append(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="extend"):
        handles.extend([3])  # type: ignore[list-item]
    assert MultiResultHandle([]).wait().get() == []
    assert MultiResultHandle([]).session_id is None


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("made", "given", "said", "expected"),
    [
        ({}, None, {}, (timedelta(seconds=300), 1, 5, "pymonik")),
        ({"priority": 2}, None, {}, (timedelta(seconds=300), 2, 5, "pymonik")),
        ({"max_duration": 60, "partition": "gpu"}, None, {}, (timedelta(minutes=1), 1, 5, "gpu")),
        (
            {"task_options": TaskOptions(HOUR, 1, 0), "priority": 4},
            None,
            {},
            (HOUR, 4, 0, "pymonik"),
        ),
        (
            {"priority": 2, "max_retries": 1},
            TaskOptions(priority=3),
            {},
            (timedelta(seconds=300), 3, 1, "pymonik"),
        ),
        (
            {"priority": 2},
            TaskOptions(priority=3, max_retries=0),
            {"pmk_priority": 4, "pmk_max_duration": 3600, "pmk_partition_id": "big"},
            (HOUR, 4, 0, "big"),
        ),
    ],
)
def test_the_last_layer_of_options_wins(
    session: Pymonik, made: Any, given: Any, said: Any, expected: Any
) -> None:
    found = task(**made)(add.func)._options(session, given, pymonik.options.split(said)[1])
    assert (
        found.max_duration,
        found.priority,
        found.max_retries,
        found.partition_id,
    ) == expected


def test_options_reach_the_engine_and_the_task() -> None:
    options = TaskOptions(options={"who": "me"})
    with Pymonik(local_session=True, partition=["main", "other"], task_options=options) as session:
        found = told.invoke(pmk_partition_id="other", pmk_priority=7).get()
        assert found.partition_id == "other"
        assert found.options == {"who": "me"}
        assert told.invoke().get().partition_id == "main"
        assert session._flow is not None
        needs = [t.requirements for t in session._flow.graph.tasks.values()]
        assert {(n.partition, n.priority, n.retries, n.timeout) for n in needs} == {
            ("other", 7, 5, 300.0),
            ("main", 1, 5, 300.0),
        }


def test_what_a_keyword_can_not_say_is_named(session: Pymonik) -> None:
    with pytest.raises(TypeError, match=r"pmk_priorty is no option.*pmk_priority"):
        add.invoke(1, 2, pmk_priorty=3)


def test_each_invocation_is_one_of_its_own(session: Pymonik, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def note(text: str) -> str:
        with log.open("a") as file:
            file.write(text)
        return text

    assert Task(note).map_invoke([("x",)] * 3).wait().get() == ["x"] * 3
    assert log.read_text() == "xxx"


def test_a_program_that_is_run_again_takes_up_what_is_stored(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def note(text: str, log: str) -> int:
        with Path(log).open("a") as file:
            return file.write(text)

    for _ in range(2):
        with Pymonik(local_session=True, store=tmp_path / "store"):
            assert Task(note).map_invoke([("x", str(log))] * 3).wait().get() == [1, 1, 1]
    assert log.read_text() == "xxx"


def test_a_failure_is_told_with_the_user_s_lines(session: Pymonik) -> None:
    handle = Task(lambda x: 1 / x, func_name="inverse").invoke(0, pmk_max_retries=0)
    for ask in (handle.wait, handle.get, MultiResultHandle([handle]).wait):
        with pytest.raises(wf.TaskError, match="ZeroDivisionError") as failed:
            ask()
    assert "1 / x" in failed.value.traceback
    assert "jupyter_wf" not in failed.value.traceback


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: add.invoke(1, 2, delegate=True), "none is running here"),
        (lambda: add.map_invoke([(1,), (2,)], delegate=True), "combines the others"),
        (lambda: Pymonik(is_worker=True).put(1), "does not work in a task"),
        (lambda: PymonikContext.from_local().retrieve_object("x"), "running task only"),
    ],
)
def test_what_can_not_be_done_is_said(session: Pymonik, call: Any, error: str) -> None:
    with pytest.raises(RuntimeError, match=error):
        call()


def test_without_a_session_nothing_is_invoked() -> None:
    with pytest.raises(RuntimeError, match="no active session"):
        add.invoke(1, 2)


def test_two_sessions_at_once_and_one_after_another() -> None:
    one, two = Pymonik(local_session=True), Pymonik(local_session=True)
    with one:
        handle = add.invoke(1, 2)
        with two:
            first = add.invoke(1, 2, pymonik=one)
            second = add.invoke(1, 2)
            assert (first.get(), second.get()) == (3, 3)
        assert first.session_id == handle.session_id != second.session_id
        with pytest.raises(RuntimeError, match="not open"):
            second.get()
    with two:
        assert add.invoke(2, 2).get() == 4


def test_a_session_begins_with_its_first_call() -> None:
    one, two = Pymonik(local_session=True), Pymonik(local_session=True)
    assert add.invoke(1, 2, pymonik=one).get() == 3
    assert add.invoke(two.put(1), 3, pymonik=two).get() == 4
    one.close()
    two.cancel()


def test_an_error_in_the_session_cancels_it() -> None:
    def program() -> None:
        with Pymonik(local_session=True):
            Task(lambda: [0 for _ in iter(int, 1)], func_name="endless").invoke()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()


def test_put_takes_names_that_are_taken(session: Pymonik) -> None:
    handles = session.put_many([1, 2, 3], ["n", "n", "m"])
    assert [handle.get() for handle in handles] == [1, 2, 3]
    assert session.put_many([]) == []
    with pytest.raises(ValueError, match="2 objects and 1 names"):
        session.put_many([1, 2], ["n"])
