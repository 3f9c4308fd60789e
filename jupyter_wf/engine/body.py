"""The user's part of a task: from code, call and inputs to outputs, or to a `Failure`."""

from __future__ import annotations

import ast
import linecache
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jupyter_wf.encodings import unpickle
from jupyter_wf.engine.breaker import Stopped
from jupyter_wf.engine.signals import Attempt, Failed
from jupyter_wf.events import Failure
from jupyter_wf.graph import Call, Code, Slot
from jupyter_wf.requirements import kinds_of

_HERE = str(Path(__file__).parent)
MAX_TEXT = 100_000


class Body:
    """A code made ready to run, as often as asked.

    Parameters
    ----------
    code : Code
    modules : tuple of (str, str)
        The local modules it uses, each with the digest of its content.

    Examples
    --------
    >>> code = Code("cell", "double", "y = 2 * x", "f", filename="<cell 1>")
    >>> Body(code).run(None, {"x": 21}, ("y",))
    [42]
    """

    def __init__(self, code: Code, modules: tuple[tuple[str, str], ...] = ()) -> None:
        self.code = code
        self.modules = modules
        self._run: Callable[[Call | None, Mapping[str, Any]], Any] | None = None

    def run(
        self, call: Call | None, inputs: Mapping[str, Any], outputs: tuple[str, ...]
    ) -> list[Any]:
        """Run it with `inputs` by slot; return the values of `outputs`, in their order."""
        if self._run is None:
            _show_source(self.code)
            self._run = self._cell() if self.code.kind == "cell" else self._function()
        result = self._run(call, inputs)
        if self.code.kind == "cell":
            return _bound(result, outputs)
        return _returned(self.code.label, result, outputs)

    def _cell(self) -> Callable[[Call | None, Mapping[str, Any]], Any]:
        code = self.code
        tree = ast.increment_lineno(ast.parse(code.source, code.filename), code.first_line - 1)
        compiled = compile(tree, code.filename, "exec", dont_inherit=True)
        definitions = unpickle(code.payload) if code.payload else {}

        def run(_: Call | None, inputs: Mapping[str, Any]) -> Any:
            # Classes of a module named __main__ are pickled by value: nobody can import a cell.
            namespace = {"__name__": "__main__", **definitions, **inputs}
            exec(compiled, namespace)  # noqa: S102 - running the user's code is the work
            return namespace

        return run

    def _function(self) -> Callable[[Call | None, Mapping[str, Any]], Any]:
        function = unpickle(self.code.payload)

        def run(call: Call | None, inputs: Mapping[str, Any]) -> Any:
            if call is None:
                return function(**inputs)
            args, kwargs = unpickle(call.payload)
            args = [_filled(arg, inputs) for arg in args]
            return function(*args, **{name: _filled(arg, inputs) for name, arg in kwargs.items()})

        return run


def _filled(value: Any, inputs: Mapping[str, Any]) -> Any:
    """Put inputs where slots stand, in lists, tuples and dicts."""
    cls = type(value)
    if cls is Slot:
        return inputs[value.name]
    if cls is list:
        return [_filled(item, inputs) for item in value]
    if cls is dict:
        return {key: _filled(item, inputs) for key, item in value.items()}
    if cls is tuple:
        return tuple([_filled(item, inputs) for item in value])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return cls(*[_filled(item, inputs) for item in value])
    return value


def _bound(namespace: Mapping[str, Any], outputs: tuple[str, ...]) -> list[Any]:
    missing = [name for name in outputs if name not in namespace]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise NameError(
            f"The cell ended without binding its output {names}. Assign it on every path, or "
            f"name the outputs with -o."
        )
    return [namespace[name] for name in outputs]


def _returned(label: str, result: Any, outputs: tuple[str, ...]) -> list[Any]:
    if len(outputs) <= 1:
        return [result] if outputs else []
    if isinstance(result, dict) and all(name in result for name in outputs):
        return [result[name] for name in outputs]
    if isinstance(result, tuple | list) and len(result) == len(outputs):
        return [*result]
    size = f" of {len(result)}" if isinstance(result, tuple | list | dict) else ""
    raise TypeError(
        f"{label} has the outputs {', '.join(outputs)} but returned a {type(result).__name__}"
        f"{size}. Return a tuple of {len(outputs)} values, or a dict with these names."
    )


_SHOWN: dict[str, Any] = {}


def _show_source(code: Code) -> None:
    """Let tracebacks in this process quote the lines of a cell of another process."""
    name = code.filename
    known = linecache.cache.get(name)
    # A notebook's kernel knows its cells as a whole; here, one after another comes from it.
    if Path(name).is_file() or (known is not None and known is not _SHOWN.get(name)):
        return
    lines = [*known[2]] if known is not None and len(known) == 4 else []
    ours = [line + "\n" for line in code.source.split("\n")]
    first = code.first_line - 1
    lines.extend(["\n"] * (first + len(ours) - len(lines)))
    lines[first : first + len(ours)] = ours
    # A modification time of None says that the cache needs no check against a file.
    linecache.cache[name] = _SHOWN[name] = (sum(map(len, lines)), None, lines, name)


def failed(nonce: str, attempt: Attempt, error: BaseException) -> Failed:
    """Answer that an attempt ended by an exception, which may be that it was stopped."""
    if isinstance(error, Stopped):
        return Failed(nonce, attempt.serial, Failure("TaskCancelledError", "stopped", ""))
    failure = failure_of(error, attempt.job.code)
    return Failed(nonce, attempt.serial, failure, kinds_of(type(error)))


def failure_of(error: BaseException, code: Code) -> Failure:
    """Describe what a body raised, in terms of the user's lines only."""
    told = traceback.TracebackException.from_exception(error, compact=True, max_group_depth=3)
    lines: list[int] = []
    _trim(told, code, lines, set())
    if isinstance(error, SyntaxError) and error.filename == code.filename and error.lineno:
        lines.append(error.lineno - code.first_line + 1)
    try:
        message = str(error)
    except Exception as other:  # noqa: BLE001 - a user's __str__ may raise anything
        message = f"<its text can't be had: {type(other).__name__}>"
    text = "".join(told.format(chain=True))
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT // 2] + "\n…\n" + text[-MAX_TEXT // 2 :]
    return Failure(type(error).__name__, message[:10_000], text, tuple(dict.fromkeys(lines)))


def _trim(told: traceback.TracebackException, code: Code, lines: list[int], seen: set[int]) -> None:
    """Take the frames of this package out of a traceback and those that led to it."""
    if id(told) in seen:
        return
    seen.add(id(told))
    last = code.first_line + code.source.count("\n")
    kept = [frame for frame in told.stack if not frame.filename.startswith(_HERE)]
    for frame in kept:
        line = frame.lineno
        if frame.filename == code.filename and line and code.first_line <= line <= last:
            lines.append(line - code.first_line + 1)
    # With no frame of the user's there is nothing to trim to: the fault is ours.
    told.stack = traceback.StackSummary.from_list(kept or told.stack)
    for other in (told.__cause__, told.__context__):
        if other is not None:
            _trim(other, code, lines, seen)
