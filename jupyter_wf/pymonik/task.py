"""`task` and `Task`: functions whose calls are tasks of a session."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, overload

from jupyter_wf.handle import DataHandle
from jupyter_wf.pymonik.body import Body
from jupyter_wf.pymonik.files import Materialize
from jupyter_wf.pymonik.options import TaskOptions, duration, split
from jupyter_wf.pymonik.results import MultiResultHandle, ResultHandle
from jupyter_wf.pymonik.session import Pymonik, current
from jupyter_wf.requirements import Requirements
from jupyter_wf.task import TaskFunction

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that can be called as always, or invoked as a task of a session.

    Parameters
    ----------
    func : callable
    require_context : bool
        Whether its first argument is a `PymonikContext`, which callers don't give.
    func_name : str or None
        What people call it; the function's own name unless told.
    task_options : TaskOptions or None
        How it is scheduled, where an invocation says nothing else.
    """

    def __init__(
        self,
        func: Callable[P, R],
        require_context: bool = False,
        func_name: str | None = None,
        task_options: TaskOptions | None = None,
    ) -> None:
        functools.update_wrapper(self, func, updated=())
        self.func = func
        self.func_name = func_name or str(getattr(func, "__name__", type(func).__name__))
        self.require_context = require_context
        self.task_options = task_options
        self._function: TaskFunction | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function here and now."""
        return self.func(*args, **kwargs)

    def invoke(
        self,
        *args: Any,
        pymonik: Pymonik | None = None,
        delegate: bool = False,
        task_options: TaskOptions | None = None,
        **kwargs: Any,
    ) -> ResultHandle[R]:
        """Start a task that calls the function, and return at once.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the function; a handle among them, or in a list, tuple or dict among them,
            is replaced by its value, once that is there.
        pymonik : Pymonik or None
            The session; the active one unless told.
        delegate : bool
            In a running task: whether the new task makes the result of this one.
        task_options : TaskOptions or None
            How this call is scheduled. ``pmk_priority=…`` and the like do the same for one option.
        """
        keywords, said = split(kwargs)
        session = pymonik or current()
        options = self._options(session, task_options, said)
        return self._invoke(session, args, keywords, options, delegate=delegate)

    def map_invoke(
        self,
        args_list: Iterable[Sequence[Any]],
        pymonik: Pymonik | None = None,
        delegate: bool = False,
        task_options: TaskOptions | None = None,
        **kwargs: Any,
    ) -> MultiResultHandle:
        """Invoke once for each tuple of arguments; parameters as in `invoke`."""
        calls = [*args_list]
        if delegate and len(calls) > 1:
            raise RuntimeError(
                "Only one task can make the result of this one: one that combines the others."
            )
        keywords, said = split(kwargs)
        session = pymonik or current()
        options = self._options(session, task_options, said)
        return MultiResultHandle(
            [self._invoke(session, args, keywords, options, delegate=delegate) for args in calls]
        )

    def _options(
        self, session: Pymonik, given: TaskOptions | None, said: TaskOptions
    ) -> TaskOptions:
        base = session.create().session.settings.task_options
        for layer in (self.task_options, given, said):
            base = base if layer is None else layer.over(base)
        return base

    def _invoke(
        self,
        session: Pymonik,
        args: Sequence[Any],
        keywords: Mapping[str, Any],
        options: TaskOptions,
        *,
        delegate: bool,
    ) -> ResultHandle[R]:
        if delegate and not session.is_worker():
            raise RuntimeError(
                "delegate=True hands on the result of a running task, and none is running here."
            )
        args = [arg for arg in args if arg is not Pymonik.NoInput]
        extra: dict[str, Any] = {}
        objects = {
            found: session.data(found)
            for found in _ids((args, keywords), session, texts=self.require_context)
        }
        if objects:
            extra["pmk_objects"] = objects
        if self.require_context and options.options:
            extra["pmk_options"] = options.options
        if delegate:
            extra["delegate"] = True
        with session.active():
            data: DataHandle = _using(self.function(session), options.requirements).invoke(
                session.session.next_ticket(),
                *[_ours(arg, session) for arg in args],
                **{name: _ours(arg, session) for name, arg in keywords.items()},
                **extra,
            )
        if delegate:
            session.session.delegate = data
        return session.handle(data)

    def function(self, session: Pymonik) -> TaskFunction:
        """Return what this is invoked as in a session."""
        if session.is_worker() and self._function is not None:
            return self._function
        functions = session.session.functions
        if self not in functions:
            settings = session.session.settings
            body = Body(self.func, self.func_name, self.require_context, settings)
            around = settings.environment
            functions[self] = TaskFunction(body, Requirements(), environment=around)
        return functions[self]

    def __getstate__(self) -> dict[str, Any]:
        # A task that is used by another travels with it, ready to be invoked where that one runs.
        return {**vars(self), "_function": self.function(current())}

    def __repr__(self) -> str:
        return f"<task {self.func_name}>"


@overload
def task(_func: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    _func: None = None,
    *,
    require_context: bool = False,
    function_name: str | None = None,
    task_options: TaskOptions | None = None,
    partition: str | None = None,
    max_duration: timedelta | float | None = None,
    priority: int | None = None,
    max_retries: int | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    _func: Callable[..., Any] | None = None,
    *,
    require_context: bool = False,
    function_name: str | None = None,
    task_options: TaskOptions | None = None,
    partition: str | None = None,
    max_duration: timedelta | float | None = None,
    priority: int | None = None,
    max_retries: int | None = None,
) -> Any:
    """Make a function a `Task`; used bare or with options.

    Parameters
    ----------
    require_context, function_name, task_options
        As for `Task`.
    partition, max_duration, priority, max_retries
        Single options, over `task_options`; a duration may be given as seconds.
    """
    said = TaskOptions(duration(max_duration), priority, max_retries, partition)
    options = said if task_options is None else said.over(task_options)

    def wrap(func: Callable[..., Any]) -> Task[..., Any]:
        return Task(func, require_context, function_name, options)

    return wrap if _func is None else wrap(_func)


def _using(function: TaskFunction, requirements: Requirements) -> TaskFunction:
    """Return the same function with other requirements."""
    found = copy.copy(function)
    found.requirements = requirements
    return found


def _ours(value: Any, session: Pymonik) -> Any:
    """Replace PymoniK's handles by ours."""
    if isinstance(value, ResultHandle):
        return session.data(value.result_id)
    if isinstance(value, MultiResultHandle):
        return [session.data(handle.result_id) for handle in value]
    if type(value) is list or type(value) is tuple:
        return type(value)([_ours(item, session) for item in value])
    if type(value) is dict:
        return {key: _ours(item, session) for key, item in value.items()}
    return value


def _ids(value: Any, session: Pymonik, *, texts: bool) -> Iterator[str]:
    """Find what a task must be given besides its arguments: files, and values named by their ids.

    With `texts`, a string is taken for an id if it is one: only a task with a context can use it.
    """
    if isinstance(value, Materialize):
        yield str(session.upload_materialize(value).result_id)
    elif isinstance(value, str):
        if texts and value in session.session.data:
            yield value
    elif type(value) is list or type(value) is tuple:
        for item in value:
            yield from _ids(item, session, texts=texts)
    elif type(value) is dict:
        for item in value.values():
            yield from _ids(item, session, texts=texts)
