"""The magics in a real shell, with the local engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

import jupyter_wf as wf
from jupyter_wf.magics.extension import Extension

Cell = Callable[..., ExecutionResult]
Output = pytest.CaptureFixture[str]


def value(result: ExecutionResult) -> Any:
    result.raise_error()
    return result.result


def test_cells_become_tasks_and_outputs_handles(
    cell: Cell, flow: wf.Workflow, cards: list[str], shell: InteractiveShell
) -> None:
    value(cell("k = 3\ndef double(x):\n    return 2 * x", "c0"))
    value(cell("%%task\nX = double(k)", "c1"))
    value(cell("%%task square --cpus 0.5\nY = X**2\n_hidden = 1", "c2"))
    assert isinstance(shell.user_ns["X"], wf.DataHandle)
    assert "_hidden" not in shell.user_ns
    assert value(cell("Y.get()")) == 36
    assert cards == ["X", "square"]
    assert flow.graph.tasks["square"].cell == "c2"
    assert flow.engine.executions() == {"X": 1, "square": 1}


def test_an_unchanged_cell_is_not_computed_again(cell: Cell, flow: wf.Workflow) -> None:
    for _ in range(3):
        value(cell("%%task\nX = 3", "c1"))
        value(cell("# said again\n%%task\nY = X + 1", "c2"))
        assert value(cell("Y.get()")) == 4
    assert flow.engine.executions() == {"X": 1, "Y": 1}


def test_an_edit_makes_dependents_stale_and_run_brings_them_up_to_date(
    cell: Cell, flow: wf.Workflow, capsys: Output
) -> None:
    value(cell("%%task\nX = 3", "c1"))
    value(cell("%%task\nY = X + 1", "c2"))
    value(cell("%%task\nZ = 0", "c3"))
    value(cell("Y.get(), Z.get()"))
    flow.flush()
    value(cell("%%task\nX = 5", "c1"))
    assert flow.state_of("Y") == "stale"
    flow.run("X").wait()
    capsys.readouterr()
    value(cell("%wf run --wait"))
    assert "Running Y" in capsys.readouterr().out
    assert value(cell("Y.get()")) == 6
    assert flow.engine.executions() == {"X": 2, "Y": 2, "Z": 1}


def test_auto_runs_dependents_at_once(cell: Cell, flow: wf.Workflow, capsys: Output) -> None:
    value(cell("%%task\nX = 3", "c1"))
    value(cell("%%task\nY = X + 1", "c2"))
    value(cell("%wf auto on"))
    value(cell("%%task\nX = 5", "c1"))
    assert flow.handle("Y").wait().state in ("running", "stored")
    value(cell("%wf auto off\n%wf auto"))
    assert flow.auto is False
    assert "auto off: %wf run runs what is stale." in capsys.readouterr().out


def test_a_cell_replaces_its_task_under_another_name(cell: Cell, flow: wf.Workflow) -> None:
    value(cell("%%task one\nX = 3", "c1"))
    value(cell("%%task two\nX = 3", "c1"))
    assert list(flow.graph.tasks) == ["two"]


def test_two_magics_called_from_one_plain_cell_are_two_tasks(cell: Cell, flow: wf.Workflow) -> None:
    text = "run = get_ipython().run_cell_magic\nrun('task', '', 'a = 1')\nrun('task', '', 'b = 2')"
    value(cell(text, "c1"))
    assert sorted(flow.graph.tasks) == ["a", "b"]


def test_another_value_of_a_variable_makes_its_readers_stale(cell: Cell, flow: wf.Workflow) -> None:
    value(cell("k = 1"))
    value(cell("%%task\nX = k", "c1"))
    assert value(cell("X.get()")) == 1
    value(cell("k = 2"))
    value(cell("%%task\nY = k", "c2"))
    flow.flush()
    assert flow.state_of("X") == "stale"
    assert value(cell("X.get(), Y.get()")) == (2, 2)


def test_tasks_follow_what_their_cells_read(cell: Cell, flow: wf.Workflow, capsys: Output) -> None:
    value(cell("C, data = 10, [1]\ndef shift(x):\n    return x + C"))
    value(cell("%%task\nX = shift(1)", "c1"))
    value(cell("%%task\nY = sum(data)", "c2"))
    value(cell("%%task\nZ = X + Y", "c3"))
    assert value(cell("Z.get()")) == 12
    flow.flush()
    for change, why, total in (
        ("C = 20", "`C` changed", 22),
        ("def shift(x):\n    return x - C", "`shift` changed", -18),
        ("data.append(5)", "input data changed", -13),
    ):
        value(cell(change))
        capsys.readouterr()
        value(cell("%wf plan"))
        assert why in capsys.readouterr().out
        value(cell("%wf run --wait"))
        assert value(cell("Z.get()")) == total
        flow.flush()
    executions = flow.engine.executions()
    value(cell("def shift(x):\n    # said again\n    return x - C"))
    value(cell("%wf run --wait"))
    assert flow.engine.executions() == executions == {"X": 3, "Y": 2, "Z": 4}


def test_what_cannot_be_followed_or_was_undone_stays(cell: Cell, flow: wf.Workflow) -> None:
    value(cell("def shift(x):\n    return x + 1"))
    value(cell("%%task\nX = shift(1)", "c1"))
    before = flow.graph.tasks["X"]
    value(cell("old = shift\ndel shift"))
    value(cell("%wf status"))
    assert flow.graph.tasks["X"] is before
    value(cell("shift = lambda x: x + 2"))
    value(cell("%wf status"))
    assert flow.state_of("X") != "stored"
    value(cell("%wf undo"))
    value(cell("%wf status"))
    assert flow.graph.tasks["X"] is before


def test_auto_follows_plain_cells(cell: Cell, flow: wf.Workflow) -> None:
    value(cell("C = 1"))
    value(cell("%%task\nX = C", "c1"))
    value(cell("%wf auto on"))
    value(cell("C = 2"))
    assert flow.state_of("X") in ("waiting", "ready", "running", "stored")
    assert value(cell("X.get()")) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%%task\nY = Xs", "nothing produces `Xs`; did you mean `X`?"),
        ("%%task\ny = 1\nY = X +", "line 3 of this cell: SyntaxError: invalid syntax"),
        ("# a\n\n%%task\nY = X +", "line 4 of this cell: SyntaxError: invalid syntax"),
        ("%%task\nfiles = !ls", "line 2 of this cell is IPython syntax"),
        ("%%task other\nX = 4", "already produced by task 'X'"),
        ("%%task\nX = X + 1", "both reads and produces 'X'"),
        ("%%task\nW = lock", "`lock`, which can't be sent to a worker"),
        ("a = 1\n%%task\nW = 1", "%%task must be the first line of its cell"),
        ("%%task\n", "name the task"),
        ("%%task --env x=1\ny = 1", "'x=1' is not a requirement"),
        ("%wf bogus", "%wf has no verb 'bogus'. Available: run, status"),
        ("%wf Stat", "%wf has no verb 'Stat'; did you mean 'status'? Available"),
        ("%wf run --focre X", "%wf run: '--focre' is not understood (did you mean --force?)."),
        ("%%task --memry 3GB\ny = 1", "%%task: '--memry' is not understood (did you mean --mem"),
        ("%%task one two\ny = 1", "%%task: 'two' is not understood. See %%task -h."),
        ("%%task\ndef f():\n    return 1", "Definitions, here of `f`, are no outputs"),
        ("%wf dash", "%wf dash is not in this release. Available: run, status"),
        ("%wf why", "the following arguments are required: NAME"),
        ("%wf why nothing", "no task or data named 'nothing'"),
        ("%task nothing", "There is no task or data named 'nothing'"),
        ("%task X -i y", "To make one, start a cell with %%task"),
        ("%wf undo\n%wf undo\n%wf undo", "undo"),
    ],
)
def test_errors_are_one_message_and_fail_the_cell(
    cell: Cell, text: str, says: str, capsys: Output
) -> None:
    value(cell("%%task\nX = 3", "c1"))
    value(cell("import threading\nlock = threading.Lock()"))
    capsys.readouterr()
    result = cell(text, "c9")
    assert isinstance(result.error_in_exec, wf.WorkflowError)
    shown = capsys.readouterr().out
    assert says in shown
    assert "Traceback" not in shown
    assert ".py" not in shown


def test_two_producers_are_told_the_way_out(cell: Cell, capsys: Output) -> None:
    value(cell("%%task\nX = 3", "c1"))
    cell("%%task other\nX = 4", "c2")
    assert "%wf remove X" in capsys.readouterr().out
    value(cell("%wf remove X"))
    value(cell("%%task other\nX = 4", "c2"))
    assert value(cell("X.get()")) == 4


def test_a_failing_task_points_to_the_line_of_the_cell(cell: Cell, capsys: Output) -> None:
    value(cell("%%task\na = 1\n\nb = a / 0", "c1"))
    capsys.readouterr()
    result = cell("b.get()")
    assert isinstance(result.error_in_exec, wf.TaskError)
    shown = capsys.readouterr().out
    assert 'File "<task a_b>", line 4' in shown
    assert "values.py" not in shown
    assert "b.get()" in shown


def test_wait_fails_the_cell_of_a_failing_task(cell: Cell) -> None:
    assert isinstance(cell("%%task --wait\nb = 1 / 0", "c1").error_in_exec, wf.TaskError)
    value(cell("%%task --wait\nb = 1", "c1"))


def test_an_interrupt_leaves_the_task_running(
    cell: Cell, flow: wf.Workflow, shell: InteractiveShell, capsys: Output, monkeypatch: Any
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(threading, "gate", gate, raising=False)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jupyter_wf.run.Run.wait", interrupt)
    result = cell("%%task --wait\nimport threading\nX = threading.gate.wait(30)", "c1")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert "stopped waiting; X goes on" in capsys.readouterr().out
    gate.set()
    assert flow.handle("X").get() is True


def test_help(cell: Cell, capsys: Output) -> None:
    for text in ("%%task -h", "%%task --help\n", "%task -h", "%wf", "%wf -h", "%wf run -h"):
        value(cell(text))
        assert "%" in capsys.readouterr().out
    value(cell("%%task?"))
    value(cell("%wf?"))


def test_help_by_question_mark_has_examples(shell: InteractiveShell) -> None:
    for name in ("%%task", "%wf"):
        assert "examples:" in str(shell.object_inspect_mime(name))


def test_status_plan_and_show_are_plain_text(cell: Cell, capsys: Output) -> None:
    value(cell("%wf status"))
    assert capsys.readouterr().out.startswith("No tasks yet.")
    value(cell("n = 2"))
    value(cell("%%task load --gpu 0 --memory 1GB\nX = n", "c1"))
    value(cell("%%task\nmean, std = X, X", "c2"))
    value(cell("mean.wait(), X.wait();"))
    value(cell("%wf run --wait"))
    capsys.readouterr()
    value(cell("%wf status"))
    assert capsys.readouterr().out == (
        "task      state   reads  makes\n"
        "load      stored  n      X\n"
        "mean_std  stored  X      mean, std\n"
        "2 tasks: 2 stored.\n"
    )
    value(cell("%task X"))
    assert capsys.readouterr().out == (
        "task   load\nstate  stored\nreads  n\nmakes  X\nneeds  1 cpu, 1000 MB\n\nX = n\n"
    )
    value(cell("%wf plan std"))
    assert "0 to run, 2 cached, 0 blocked." in capsys.readouterr().out
    value(cell("%wf why load"))
    assert capsys.readouterr().out.startswith("load: stored")


def test_undo_redo_reset(cell: Cell, flow: wf.Workflow, capsys: Output) -> None:
    value(cell("%%task\nX = 3", "c1"))
    value(cell("%wf undo"))
    assert not flow.graph.tasks
    value(cell("%wf redo"))
    assert list(flow.graph.tasks) == ["X"]
    value(cell("%wf reset"))
    assert not flow.graph.tasks
    assert "Undone: define X." in capsys.readouterr().out


def test_cancel(cell: Cell, flow: wf.Workflow) -> None:
    value(cell("%%task\nimport time\nfor _ in range(3000): time.sleep(0.01)\nX = 1", "c1"))
    value(cell("%wf cancel X"))
    assert flow.handle("X").wait().state == "cancelled"
    value(cell("%wf cancel"))


def test_a_body_is_plain_python(cell: Cell, flow: wf.Workflow, shell: InteractiveShell) -> None:
    body = "total = 0\nfor x in xs:\n    total += scale(x)\nresult = [total, max(xs)]"
    value(cell("xs = [1, 2, 3]\nscale = lambda x: 2 * x"))
    value(cell(f"%%task\n{body}", "c1"))
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    value(cell(f"import jupyter_wf as wf\n@wf.task\ndef f(xs):\n{indented}\n    return result"))
    assert value(cell("result.get(), f.invoke(xs).get()")) == ([12, 3], [12, 3])


def test_braces_and_dollars_on_the_line_stay(cell: Cell, flow: wf.Workflow) -> None:
    value(cell("a = 1"))
    value(cell("%%task '{a} $a'\nX = 1", "c1"))
    assert list(flow.graph.tasks) == ["{a} $a"]


def test_running_a_task_leaves_the_notebooks_classes_as_they_are(
    cell: Cell, shell: InteractiveShell
) -> None:
    cell("FACTOR = 2\nclass Scale:\n    def of(self, x):\n        return FACTOR * x")
    cell("%%task scaled --wait\ny = Scale().of(21)").raise_error()
    assert shell.user_ns["y"].get() == 42
    cell("FACTOR = 3\nz = Scale().of(1)").raise_error()
    assert shell.user_ns["z"] == 3


def test_a_graph_displays_as_a_picture(shell: InteractiveShell) -> None:
    from jupyter_wf.graph import Code, Graph, Task

    code = Code("cell", "load", "X = 1", "f")
    graph = Graph().with_task(Task("load", code, outputs=(("X", "X"),)))
    shown, _ = shell.display_formatter.format(graph)
    assert shown["text/plain"] == "workflow of 1 task and 1 data"
    assert shown["image/svg+xml"].startswith("<svg")


def test_unload_takes_everything_away(shell: InteractiveShell) -> None:
    def names(functions: list[Any]) -> list[str]:
        return [getattr(one, "__qualname__", repr(one)) for one in functions]

    def state() -> list[Any]:
        manager = shell.input_transformer_manager
        return [
            {kind: set(table) for kind, table in shell.magics_manager.magics.items()},
            names(manager.cleanup_transforms),
            names(shell.Completer.custom_matchers),
            names(shell.events.callbacks["pre_run_cell"]),
            names(shell.events.callbacks["post_run_cell"]),
            shell.custom_exceptions,
        ]

    loaded = state()
    shell.run_line_magic("unload_ext", "jupyter_wf")
    bare = state()
    assert all(a != b for a, b in zip(loaded, bare, strict=True))
    assert "task" not in bare[0]["cell"]
    shell.run_line_magic("load_ext", "jupyter_wf")
    assert state() == loaded
    Extension.of(shell).load()
    assert len(shell.Completer.custom_matchers) == 1
    shell.run_line_magic("unload_ext", "jupyter_wf")
    assert state() == bare


def test_another_s_error_handler_is_left_alone(shell: InteractiveShell) -> None:
    shell.run_line_magic("unload_ext", "jupyter_wf")
    shell.set_custom_exc((ValueError,), lambda *_, **__: None)
    shell.run_line_magic("load_ext", "jupyter_wf")
    assert shell.custom_exceptions == (ValueError,)
