"""What runs at a worker: a function, with what PymoniK puts around it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_wf.context import context
from jupyter_wf.pymonik.context import PymonikContext, TaskHandler
from jupyter_wf.pymonik.files import Materialize
from jupyter_wf.pymonik.known import Settings
from jupyter_wf.pymonik.results import MultiResultHandle, ResultHandle
from jupyter_wf.pymonik.session import Pymonik

_ANY = [
    inspect.Parameter("ticket", inspect.Parameter.POSITIONAL_ONLY),
    inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
    inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
]


class Body:
    """Calls a function within a session of its own, in which it may invoke others.

    Parameters
    ----------
    function : callable
    name : str
    require_context : bool
        Whether its first argument is a `PymonikContext`.
    settings : Settings
        Of the session that it is invoked in.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, require_context: bool, settings: Settings
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.__name__ = name
        # Without this, the function's own parameters would be taken for those of `__call__`.
        self.__signature__ = inspect.Signature(_ANY)
        self._require_context = require_context
        self._settings = settings

    def __call__(
        self,
        ticket: str,
        /,
        *args: Any,
        pmk_objects: Mapping[str, Any] | None = None,
        pmk_options: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call the function.

        Parameters
        ----------
        ticket : str
            What tells this invocation from all others.
        pmk_objects : mapping or None
            Values that it may retrieve, and files that it is to find, by their ids.
        pmk_options : dict or None
            The ``options`` of its `TaskOptions`.
        """
        here = context()
        options = self._settings.task_options
        handler = TaskHandler(
            self._settings.session_id,
            here.name,
            type(options)(partition_id=here.partition, options=pmk_options or {}).over(options),
            pmk_objects or {},
        )
        told = PymonikContext(handler, here.logger)
        for value in (*args, *kwargs.values()):
            if isinstance(value, Materialize) and not told.materialize_file(value):
                raise OSError(f"{value.source_path} can't be put at {value.worker_path}.")
        session = Pymonik.within(self._settings, ticket, handler.objects)
        if self._require_context:
            args = (told, *args)
        try:
            with session:
                result = self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
                if isinstance(result, MultiResultHandle) and session.session.delegate is None:
                    result = _gather(result)
        except BaseException as error:
            # The user's traceback begins with the user's function.
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next
            raise
        if session.session.delegate is not None:
            return session.session.delegate
        return session.data(result.result_id) if isinstance(result, ResultHandle) else result


def _gather(handles: MultiResultHandle) -> ResultHandle[list[Any]]:
    """Have the list of several values made."""
    from jupyter_wf.pymonik.task import Task

    return Task(_same, func_name="gather").invoke(handles)


def _same(values: list[Any]) -> list[Any]:
    return values
