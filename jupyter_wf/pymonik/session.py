"""`Pymonik`: a session on a cluster, or within a running task."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, Token
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

from jupyter_wf.engine.abc import Engine, Store
from jupyter_wf.engine.environments import locked
from jupyter_wf.environment import Environment, environment
from jupyter_wf.handle import DataHandle
from jupyter_wf.pymonik.files import Materialize, hash_of, read
from jupyter_wf.pymonik.known import Session, Settings
from jupyter_wf.pymonik.options import DEFAULTS, TaskOptions
from jupyter_wf.pymonik.results import ResultHandle
from jupyter_wf.workflow import Workflow

if TYPE_CHECKING:
    from jupyter_wf.pymonik.task import Task

T = TypeVar("T")


class Pymonik:
    """A session, in which tasks are invoked.

    Parameters
    ----------
    endpoint : str or None
        Address of a Dask scheduler, such as ``localhost:8786``; None takes the one in the variable
        ``DASK_SCHEDULER_ADDRESS``, or else a cluster on this machine that lives with the session.
    partition : str or list of str
        Where tasks run that say nothing else; of several, the first.
    environment : dict
        ``{"pip": [requirements], "env_variables": {name: value}}``; a requirement may be a pair of
        name and version.
    is_worker : bool
        Whether this is the session within a running task, which is made there.
    task_options : TaskOptions or None
        Of tasks that say nothing else; None is 300 s, priority 1 and 5 retries.
    local_session : bool
        Run in threads of this process, to try things out.
    batch_size, disable_events_client, polling_interval, polling_batch_size
        Taken, and without effect: calls are gathered, and results are told, by themselves.
    store : str, Path, Store or None
        Ours: a folder or URL where values are kept for longer than the session; workers must see
        it too. A program that is run again then takes up what it has computed before.

    Examples
    --------
    >>> from jupyter_wf.pymonik import Pymonik, task
    >>> @task
    ... def add(a, b):
    ...     return a + b
    >>> with Pymonik(local_session=True):
    ...     add.invoke("Hello", " World!").wait().get()
    'Hello World!'
    """

    NoInput = object()

    def __init__(
        self,
        endpoint: str | None = None,
        partition: str | list[str] | None = "pymonik",
        environment: Mapping[str, Any] | None = None,
        is_worker: bool = False,
        batch_size: int = 32,
        task_options: TaskOptions | None = None,
        disable_events_client: bool = False,
        polling_interval: float = 1,
        polling_batch_size: int = 10,
        local_session: bool = False,
        *,
        store: str | Path | Store | None = None,
    ) -> None:
        self.environment = dict(environment or {})
        first = partition if isinstance(partition, str | None) else partition[0]
        base = TaskOptions(partition_id=first).over(DEFAULTS)
        self.task_options = (task_options or TaskOptions()).over(base)
        self.batch_size = batch_size
        self.disable_events_client = disable_events_client
        self.polling_interval = polling_interval
        self.polling_batch_size = polling_batch_size
        self._endpoint = endpoint
        self._is_worker = is_worker
        self._local = local_session
        self._store = store
        self._session: Session | None = None
        self._flow: Workflow | None = None
        self._token: Token[Pymonik] | None = None

    @classmethod
    def within(cls, settings: Settings, ticket: str, objects: Mapping[str, Any]) -> Pymonik:
        """Return the session within a running task.

        Parameters
        ----------
        settings : Settings
            Those of the session that the task was invoked in.
        ticket : str
            Under which it was.
        objects : mapping
            Values that came with it, by their ids.
        """
        found = cls(is_worker=True)
        found._session = Session(settings, ticket, dict(objects))
        return found

    # -- its life ------------------------------------------------------------------------------

    def create(self) -> Self:
        """Connect to the cluster; done by the ``with`` statement, and by a first call."""
        if not self._is_worker and self._flow is None:
            around = _environment(self.environment)
            name = uuid4().hex
            self._flow = Workflow(
                self._engine(), "memory://" if self._store is None else self._store
            )
            try:
                self._flow.engine  # noqa: B018 - a cluster that does not answer is told here
            except BaseException:
                self._flow.close()
                self._flow = None
                raise
            # Values that outlive the session are found again by one that asks for the same.
            ticket = name if self._store is None else ""
            settings = Settings(name, around, self.task_options)
            self._session = Session(settings, ticket)
            atexit.register(self.close)
        return self

    def _engine(self) -> Engine | None:
        if self._local:
            from jupyter_wf.engine.local import LocalEngine

            return LocalEngine(os.cpu_count() or 1)
        endpoint = self._endpoint or os.environ.get("DASK_SCHEDULER_ADDRESS")
        if endpoint is None:
            return None
        from jupyter_wf.engine.dask import DaskEngine

        bare = endpoint.removeprefix("http://").removesuffix("/")
        return DaskEngine(bare if "://" in bare else f"tcp://{bare}")

    def close(self) -> None:
        """Wait for all tasks, and end the session."""
        self._end(cancel=False)

    def cancel(self) -> None:
        """Stop all tasks, and end the session."""
        self._end(cancel=True)

    def _end(self, *, cancel: bool) -> None:
        flow, self._flow = self._flow, None
        if flow is None:
            return
        self._session = None
        atexit.unregister(self.close)
        try:
            if cancel:
                flow.cancel()
            else:
                tasks = flow.status.tasks
                flow.wait(lambda: all(t.settled for t in tasks.values()), None)
        except BaseException:
            flow.cancel()
            raise
        finally:
            flow.close()

    def __enter__(self) -> Self:
        self.create()
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
        self._end(cancel=kind is not None)

    def is_worker(self) -> bool:
        """Whether this is the session within a running task."""
        return self._is_worker

    # -- data ----------------------------------------------------------------------------------

    def put(self, obj: T, name: str | None = None) -> ResultHandle[T]:
        """Keep a value, to be passed to any number of tasks and sent once to each worker.

        Parameters
        ----------
        obj : object
        name : str or None
            What people see it under.
        """
        flow = self._client("put")
        if name is not None and name in flow.graph.data:
            name = next(new for n in count(2) if (new := f"{name} ({n})") not in flow.graph.data)
        return self.handle(flow.put(obj, name))

    def put_many(
        self, objects: Iterable[T], names: list[str] | None = None
    ) -> list[ResultHandle[T]]:
        """Keep several values; `names`, if given, has one for each."""
        objects = list(objects)
        if names is not None and len(names) != len(objects):
            raise ValueError(f"There are {len(objects)} objects and {len(names)} names.")
        called: Sequence[str | None] = names or [None] * len(objects)
        return [self.put(one, name) for one, name in zip(objects, called, strict=True)]

    def upload_materialize(self, mat: Materialize, force_upload: bool = False) -> Materialize:
        """Keep the content of a file or folder, and note its id in `mat`.

        Raises `ValueError` if it was edited since `mat` was made.
        """
        if mat.result_id is None or force_upload:
            content = read(Path(mat.source_path))
            if hash_of(content) != mat.content_hash:
                raise ValueError(
                    f"{mat.source_path} was edited since it was described. Materialize it anew."
                )
            mat.result_id = self.put(content).result_id
        return mat

    # -- for tasks and handles -----------------------------------------------------------------

    def register_tasks(self, tasks: Iterable[Task[..., Any]]) -> Self:
        """Make tasks ready to be sent, which invoking them does as well."""
        for one in tasks:
            _ = one.function(self).code
        return self

    @property
    def session(self) -> Session:
        """What this session knows; raises `RuntimeError` unless it is open."""
        if self._session is None:
            raise RuntimeError("This session is not open. Use it in a with statement.")
        return self._session

    def handle(self, data: DataHandle) -> ResultHandle[Any]:
        """Return PymoniK's handle on a data."""
        session = self.session
        session.data[data.key] = data
        return ResultHandle(data.key, session.settings.session_id, self)

    def data(self, result_id: str) -> Any:
        """Return our handle on a value; within a task, what came with it is here by value."""
        try:
            return self.session.data[result_id]
        except KeyError:
            raise RuntimeError(f"{result_id} is no result of this session.") from None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Have calls go to this session for a while."""
        token = _current.set(self)
        try:
            # Within a task there is no workflow, and calls go to the task.
            with self._flow.active() if self._flow is not None else nullcontext():
                yield
        finally:
            _current.reset(token)

    def _client(self, what: str) -> Workflow:
        if self._is_worker:
            raise RuntimeError(
                f"{what}() does not work in a task. Return the value, or pass it on."
            )
        self.create()
        assert self._flow is not None
        return self._flow


def _environment(asked: Mapping[str, Any]) -> Environment | None:
    """Return what PymoniK's words ask for, with the versions that it comes to."""
    words = {"env" if key == "env_variables" else key: value for key, value in asked.items()}
    if isinstance(words.get("pip"), list):
        words["pip"] = ["".join(one) if isinstance(one, tuple) else one for one in words["pip"]]
    found = environment(words)
    return None if found is None else locked(found)


_current: ContextVar[Pymonik] = ContextVar("jupyter_wf_pymonik")


def current() -> Pymonik:
    """Return the session of the enclosing ``with``, or of the running task."""
    found = _current.get(None)
    if found is None:
        raise RuntimeError(
            "There is no active session. Invoke tasks within `with Pymonik(…):`, or pass pymonik=."
        )
    return found
