"""What ``%load_ext`` adds to a shell, and how ``%unload_ext`` takes all of it away again."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

from jupyter_wf.errors import WorkflowError
from jupyter_wf.formats.svg import to_svg
from jupyter_wf.graph import Graph
from jupyter_wf.magics import cells
from jupyter_wf.magics.completer import Completer
from jupyter_wf.magics.frames import users_frames
from jupyter_wf.magics.magics import WorkflowMagics

_extensions: WeakKeyDictionary[InteractiveShell, Extension] = WeakKeyDictionary()


class Extension:
    """The magics of one shell.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.magics = WorkflowMagics(shell)
        self._undo: list[Callable[[], None]] = []

    @classmethod
    def of(cls, shell: InteractiveShell) -> Self:
        """Return the extension of a shell, loaded or not."""
        if shell not in _extensions:
            _extensions[shell] = cls(shell)
        return _extensions[shell]  # type: ignore[return-value]

    def load(self) -> None:
        """Add everything; a second call changes nothing."""
        if self._undo:
            return
        self._register("cell", "task", self.magics.task_cell)
        self._register("line", "task", self.magics.task_line)
        self._register("line", "wf", self.magics.wf)
        # IPython takes a %%task that is not on the first line for a line magic of this name.
        self._register("line", "%task", self.magics.misplaced)
        self._insert(self.shell.input_transformer_manager.cleanup_transforms, cells.magic_first)
        self._insert(self.shell.Completer.custom_matchers, Completer(self.magics.names).matcher())
        self._hear("pre_run_cell", self._entered)
        self._hear("post_run_cell", self._left)
        self._handle_errors()
        self._draw_graphs()

    def unload(self) -> None:
        """Take everything away, and close nothing: values and running tasks stay."""
        while self._undo:
            self._undo.pop()()

    def _register(self, kind: str, name: str, function: Callable[..., Any]) -> None:
        table = self.shell.magics_manager.magics[kind]
        before = table.get(name)
        table[name] = function

        def undo() -> None:
            if table.get(name) == function:
                del table[name]
                if before is not None:
                    table[name] = before

        self._undo.append(undo)

    def _insert(self, chain: list[Any], item: Any) -> None:
        chain.insert(0, item)
        self._undo.append(lambda: chain.remove(item) if item in chain else None)

    def _hear(self, event: str, callback: Callable[..., None]) -> None:
        self.shell.events.register(event, callback)
        self._undo.append(lambda: self.shell.events.unregister(event, callback))

    def _left(self, _: ExecutionResult) -> None:
        """Look after the tasks once a cell has run."""
        self.magics.after_cell()

    def _entered(self, info: ExecutionInfo) -> None:
        """Note which cell runs, before it runs."""
        raw = info.raw_cell if isinstance(info.raw_cell, str) else ""
        self.magics.cell = info.cell_id if cells.is_task(raw) else None

    def _draw_graphs(self) -> None:
        """Display a graph as a picture, and as one line where there are none."""
        formatters = self.shell.display_formatter.formatters
        picture, text = formatters["image/svg+xml"], formatters["text/plain"]
        picture.for_type(Graph, to_svg)
        text.for_type(Graph, lambda graph, printer, _: printer.text(one_line(graph)))
        self._undo += [lambda: picture.pop(Graph, None), lambda: text.pop(Graph, None)]

    def _handle_errors(self) -> None:
        """Show errors of this package by the user's own lines, unless another handler is set."""
        shell = self.shell
        if shell.custom_exceptions:
            return
        handler = shell.CustomTB
        shell.set_custom_exc((WorkflowError,), _show)
        ours = shell.CustomTB

        def undo() -> None:
            if shell.CustomTB is ours:
                shell.custom_exceptions = ()
                shell.CustomTB = handler

        self._undo.append(undo)


def one_line(graph: Graph) -> str:
    """Return a graph in words: ``workflow of 3 tasks and 4 data``."""
    tasks, data = len(graph.tasks), len(graph.data)
    return f"workflow of {tasks} task{'' if tasks == 1 else 's'} and {data} data"


def _show(
    shell: InteractiveShell,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    shell.showtraceback((kind, error, users_frames(traceback)), tb_offset=tb_offset)
