"""``%%task``, ``%task`` and ``%wf``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand

from jupyter_wf.active import current
from jupyter_wf.encodings import encode
from jupyter_wf.errors import (
    CaptureError,
    DoubleProducerError,
    FingerprintError,
    StoreError,
    WorkflowError,
)
from jupyter_wf.graph import Task
from jupyter_wf.handle import DataHandle
from jupyter_wf.lookup import task_named
from jupyter_wf.magics import options, tables, verbs
from jupyter_wf.magics.capture import Captured, capture
from jupyter_wf.magics.follow import Follow
from jupyter_wf.magics.frames import friendly, say
from jupyter_wf.workflow import Workflow

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: What IPython itself binds to the last results, which change with every cell.
_RESULTS = re.compile(r"_+|_i+|_i?\d+")


class WorkflowMagics:
    """The magics of one shell.

    Parameters
    ----------
    shell : InteractiveShell

    Attributes
    ----------
    cell : str or None
        Id of the ``%%task`` cell that runs now.
    follow : Follow
        What the cells read, so that tasks follow its changes.
    start : callable or None
        Called with the workflow and a task's name when ``%%task`` has defined it, where no one
        looks on; None starts it at once and shows its card.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.cell: str | None = None
        self.follow = Follow()
        self.start: Callable[[Workflow, str], None] | None = None

    @no_var_expand
    @friendly
    def task_cell(self, line: str, body: str) -> None:
        """Make the cell a task; its help replaces this text."""
        given = options.parse_line(line)
        flow, cell = current(), self.cell

        def again() -> Captured:
            return capture(
                given,
                body,
                namespace=self._namespace(),
                graph=flow.graph,
                data_of=lambda value: _data_of(value, flow),
                cell=cell,
            )

        captured = again()
        task = captured.task
        try:
            handles = flow.define(task, captured.values, run=self.start is None)
        except (StoreError, FingerprintError):
            _find_culprit(captured.values)
            raise
        except DoubleProducerError as error:
            raise _with_way_out(error, flow, task) from None
        self.follow.note(flow, captured, again)
        for (output, _), handle in zip(task.outputs, handles, strict=True):
            self.shell.user_ns[output] = handle
        if self.start is None:
            _show_card(flow, task.name)
        else:
            self.start(flow, task.name)
        if given.wait and not flow.dry:
            verbs.wait(flow.run(task.name))

    @no_var_expand
    @friendly
    def task_line(self, line: str) -> None:
        """Show a task of this notebook: ``%task NAME``; without a name, list them all.

        To make a task, start a cell with ``%%task`` (two per cent signs):
        """
        words = options.split(line)
        flow = current()
        if set(words) & {"-h", "--help"}:
            say(str(self.task_line.__doc__))
        elif not words:
            say(tables.status_table(flow))
        elif len(words) > 1:
            raise CaptureError(
                "%task shows one task. To make one, start a cell with %%task (two per cent signs)."
            )
        else:
            name = task_named(flow.graph, words[0])
            say(tables.task_text(flow, flow.graph.tasks[name]))
            if self.start is None:
                _show_card(flow, name)

    @no_var_expand
    @friendly
    def misplaced(self, _: str) -> None:
        """Explain what a ``%%task`` below other code means."""
        raise CaptureError(
            "%%task must be the first line of its cell, with at most comments above it. "
            "Move the code above it to a cell of its own."
        )

    @no_var_expand
    @friendly
    def wf(self, line: str) -> Any:
        """Do what a verb says; its help replaces this text."""
        words = options.split(line)
        if words and words[0] in verbs.LOOKING and not set(words) & {"-h", "--help"}:
            self.follow.refresh(current())
        return verbs.do(current(), words)

    def after_cell(self) -> None:
        """After any cell: under ``%wf auto on``, run what its changes made stale."""
        if not self.follow:
            return
        flow = current()
        if flow.auto and not flow.dry and self.follow.refresh(flow):
            flow.run()

    def names(self) -> tuple[list[str], list[str]]:
        """Names of the tasks and of the data as they are shown, sorted, for completion."""
        graph = current().graph
        short = graph.short_names
        return sorted(short[n] for n in graph.tasks), sorted(short[n] for n in graph.data)

    def _namespace(self) -> Mapping[str, Any]:
        """Return the notebook's variables without those that IPython put there."""
        hidden = self.shell.user_ns_hidden
        return {
            name: value
            for name, value in self.shell.user_ns.items()
            if hidden.get(name, self) is not value and not _RESULTS.fullmatch(name)
        }


# `%%task?` and `%wf?` show these, and Shift+Tab on either of %task and %%task the second.
WorkflowMagics.task_cell.__doc__ = options.parser().format_help()
WorkflowMagics.task_line.__doc__ = (
    f"{cleandoc(WorkflowMagics.task_line.__doc__ or '')}\n\n{options.parser().format_help()}"
)
WorkflowMagics.wf.__doc__ = verbs.parser().format_help()


def _data_of(value: Any, flow: Workflow) -> str | None:
    if not isinstance(value, DataHandle):
        return None
    if value.owner is not flow.values:
        raise CaptureError(
            f"{value.name!r} belongs to another workflow. Pass its value: {value.name}.get()."
        )
    return value.name


def _find_culprit(values: Mapping[str, Any]) -> None:
    """Raise `CaptureError` for the first of some values that can't be stored, naming it."""
    for name, value in values.items():
        try:
            encode(value, name=name)
        except WorkflowError as error:
            raise CaptureError(
                f"the body reads `{name}`, which can't be sent to a worker: {error} "
                f"Or make it inside the task."
            ) from None


def _with_way_out(error: DoubleProducerError, flow: Workflow, task: Task) -> DoubleProducerError:
    """Add the magics that show and remove the other task, whose cell may be long gone."""
    data = flow.graph.data
    others = sorted(
        {data[n].producer or "" for _, n in task.outputs if n in data} - {task.name, ""}
    )
    if not others:
        return error
    return DoubleProducerError(
        f"{error} `%task {others[0]}` shows its cell; `%wf remove {others[0]}` takes it out."
    )


def _show_card(flow: Workflow, task: str) -> None:
    from IPython.display import display

    from jupyter_wf.widgets.card import Card

    display(Card(flow, task))
