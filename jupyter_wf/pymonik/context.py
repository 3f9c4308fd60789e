"""`PymonikContext`: what a task that asks for it is told, and may do."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_wf.pymonik.files import Materialize, place, placed
from jupyter_wf.pymonik.options import TaskOptions


@dataclass(frozen=True, slots=True)
class TaskHandler:
    """The running task.

    Parameters
    ----------
    session_id, task_id : str
    task_options : TaskOptions
    objects : mapping
        Values that came with the task, by their ids.
    """

    session_id: str
    task_id: str
    task_options: TaskOptions
    objects: Mapping[str, Any] = field(default_factory=dict, repr=False)


class PymonikContext:
    """The first argument of a task with ``require_context=True``.

    Parameters
    ----------
    task_handler : TaskHandler or None
        The running task; None outside one.
    logger : logging.Logger
        What it writes is shown with the task.

    Examples
    --------
    >>> PymonikContext.from_local().is_local
    True
    """

    def __init__(self, task_handler: TaskHandler | None, logger: Logger) -> None:
        self.task_handler = task_handler
        self.logger = _Logger(logger)
        self.is_local = task_handler is None

    @staticmethod
    def from_local(logger: Logger | None = None) -> PymonikContext:
        """Make a context with which to call a task's function outside a cluster."""
        return PymonikContext(None, logger or logging.getLogger("pymonik"))

    def retrieve_object(
        self,
        result_id: str,
        auto_unpickle: bool = True,
        check_exists: bool = True,
        force_retrieve: bool = False,
    ) -> Any:
        """Return a value by its id, and leave a copy of it at `get_object_path`.

        Parameters
        ----------
        result_id : str
            The id of a handle of this session, that this task was given as, or in, an argument.
        auto_unpickle : bool
            Whether to return the value; else the bytes of the copy, its pickle.
        check_exists, force_retrieve : bool
            Whether a copy that is there is taken, and whether it is written again.

        Returns
        -------
        object, or None, with an error in the log, if this task was not given the id.
        """
        objects = self._handler("retrieve_object").objects
        path = self.get_object_path(result_id)
        if force_retrieve or not check_exists or not path.exists():
            if result_id not in objects:
                self.logger.error("%s came with no argument of this task.", result_id)
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, objects[result_id])
        found = path.read_bytes()
        if not auto_unpickle:
            return found
        import cloudpickle

        return objects[result_id] if result_id in objects else cloudpickle.loads(found)

    def get_object_path(self, result_id: str) -> Path:
        """Return where the pickle of a value is once it was retrieved; it lives with the worker."""
        session = self._handler("get_object_path").session_id
        return _folder() / Path(session).name / Path(result_id).name

    def object_exists_locally(self, result_id: str) -> bool:
        """Whether a value was retrieved by this worker before."""
        return self.get_object_path(result_id).exists()

    def materialize_file(self, mat: Materialize) -> bool:
        """Put a file or folder where its `worker_path` says, unless it is there.

        This is done, before a task begins, for all of its arguments.

        Returns
        -------
        bool
            Whether the right content is there; what went wrong is in the log.
        """
        if self.is_local or placed(mat):
            return True
        objects = self._handler("materialize_file").objects
        content = objects.get(mat.result_id or "")
        if content is None:
            self.logger.error("%s came with no argument of this task.", mat.source_path)
            return False
        try:
            place(mat, content)
        except OSError as error:
            self.logger.error("%s can't be put at %s: %s", mat.source_path, mat.worker_path, error)
            return False
        return True

    def _handler(self, what: str) -> TaskHandler:
        if self.task_handler is None:
            raise RuntimeError(f"{what}() works inside a running task only.")
        return self.task_handler

    @staticmethod
    def _write(path: Path, value: Any) -> None:
        import cloudpickle

        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            cloudpickle.dump(value, file)
        Path(file.name).replace(path)


class _Logger(logging.LoggerAdapter[Logger]):
    """Takes more keywords than a logger does, as structured ones do, and writes them out."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        usual = {n: kwargs.pop(n) for n in ("exc_info", "stack_info", "extra") if n in kwargs}
        if kwargs:
            said = str(msg) % args if args else msg
            told = ", ".join(f"{name}={value!r}" for name, value in kwargs.items())
            msg, args = "%s (%s)", (said, told)
        super().log(level, msg, *args, **usual)


@cache
def _folder() -> Path:
    """Make this process's own folder: a place others could write to would run code as you."""
    import atexit
    import shutil

    made = tempfile.mkdtemp(prefix="jupyter-wf-objects-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)
