"""`@task`: a plain function whose calls become tasks of the active workflow."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jupyter_wf.active import current
from jupyter_wf.closure import FunctionCode, value_digest
from jupyter_wf.context import current as running
from jupyter_wf.engine.environments import locked
from jupyter_wf.environment import Environment
from jupyter_wf.environment import environment as environment_of
from jupyter_wf.errors import CaptureError, FingerprintError, WorkflowError
from jupyter_wf.fingerprint import digest, task_key
from jupyter_wf.graph import Call, Code, Slot, Task
from jupyter_wf.handle import DataHandle
from jupyter_wf.naming import call_name
from jupyter_wf.requirements import Kinds, Requirements, requirements

RESULT = "result"
#: Bytes from which an array that a running task passes on is data of its own, and not copied.
LARGE = 64_000
#: What is found anew in each process.
CACHED = frozenset({"_signature", "_counts"})
#: Types of arguments whose representation is their identity.
PLAIN = frozenset({int, float, str, bool, type(None), Slot})


class TaskFunction:
    """A function that can be called as always, or invoked as a task; made by `task`."""

    def __init__(
        self,
        function: Callable[..., Any],
        requirements: Requirements,
        outputs: tuple[str, ...] = (RESULT,),
        environment: Environment | None = None,
    ) -> None:
        _check(function)
        functools.update_wrapper(self, function)
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.requirements = requirements
        self.outputs = outputs
        self._environment = environment
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function here and now."""
        return self._function(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        assert self._code is not None  # the lock is found here: a worker may know no index
        return {name: value for name, value in vars(self).items() if name not in CACHED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # In this order pickle can rebuild functions that invoke each other, or themselves.
        vars(self).update(state)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._function)

    @functools.cached_property
    def _counts(self) -> range:
        """How many positional arguments alone are right; nothing if more is to be looked at."""
        parameters = self._signature.parameters.values()
        if any(one.kind is not one.POSITIONAL_OR_KEYWORD for one in parameters):
            return range(0)
        return range(sum(one.default is one.empty for one in parameters), len(parameters) + 1)

    @property
    def code(self) -> Code:
        """What it does, fingerprinted with all that it uses."""
        return self._code()

    @property
    def around(self) -> Environment | None:
        """Its environment with its lock, for which the first time on a host an index is asked."""
        return self._code.environment

    @functools.cached_property
    def _code(self) -> FunctionCode:
        environment = None if self._environment is None else locked(self._environment)
        return FunctionCode(self._function, environment=environment)

    def invoke(self, *args: Any, delegate: bool = False, **kwargs: Any) -> Any:
        """Add a call to the active workflow, start it, and return at once.

        Inside a running task the call becomes a task of its own too, which starts when that one has
        returned, or waits for it. The running task may return its handle, and so hand on the
        production of its output.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the function. A `DataHandle` among them, or in a list, tuple or dict
            among them, is an edge of the graph; anything else is part of what the task is.
        delegate : bool
            Say that the handle is returned by the running task, in whose place this one makes the
            output.

        Returns
        -------
        DataHandle, or a tuple of them if the task has several outputs.
        """
        context = running.get(None)
        if kwargs or len(args) not in self._counts:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                raise CaptureError(f"{self.name}.invoke(): {error}.") from None
        if context is None:
            if delegate:
                raise WorkflowError(
                    f"{self.name}.invoke(..., delegate=True) hands on the output of a running "
                    f"task, and none runs here. Leave delegate out."
                )
            flow = current()
            owner: Any = flow.values
            append, give = flow.append, None
        elif context.family is None:
            raise WorkflowError(f"{context.name} can't invoke {self.name}: it has no workflow.")
        else:
            owner = context.family
            append = owner.append

            def give(value: Any) -> DataHandle:
                return DataHandle(owner, owner.give(value))

        inputs: list[tuple[str, DataHandle]] = []
        arguments = _with_slots((args, dict(sorted(kwargs.items()))), inputs, give)
        for _, handle in inputs:
            if handle.owner is not owner:
                raise CaptureError(
                    f"{handle.name!r} belongs to another workflow. Pass its value: .get()."
                )
        code = self.code
        call = Call(self._digest(arguments), _pickled(self.name, arguments))
        keys = tuple([(slot, handle.key) for slot, handle in inputs])
        key = task_key(code.fingerprint, call.digest, keys)
        name = call_name(code.label, key)
        outputs = tuple(
            (output, name if output == RESULT else f"{name}.{output}") for output in self.outputs
        )
        task = Task(
            name,
            code,
            tuple((slot, handle.name) for slot, handle in inputs),
            outputs,
            call,
            self.requirements,
        )
        append(task, key, keys)
        handles = tuple(DataHandle(owner, data) for _, data in outputs)
        return handles[0] if len(handles) == 1 else handles

    def _digest(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
        try:
            return _plain_digest(*arguments) or value_digest(arguments)
        except FingerprintError:
            # Told again with the parameters' names: the arguments as they are have none.
            for name, value in self._signature.bind(
                *arguments[0], **arguments[1]
            ).arguments.items():
                value_digest(value, name=name, user=f"{self.name}.invoke()")
            raise

    def map_invoke(self, calls: Iterable[Sequence[Any]], *, delegate: bool = False) -> list[Any]:
        """Invoke once for each tuple of positional arguments; return the handles in their order."""
        return [self.invoke(*args, delegate=delegate) for args in calls]

    def __repr__(self) -> str:
        return f"<task {self.name}{self._signature}>"


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    partition: str | None = None,
    cpus: float = 1,
    gpu: float = 0,
    memory: str | int = 0,
    gpu_memory: str | int = 0,
    resources: Mapping[str, float] | None = None,
    retries: int = 0,
    timeout: float | None = None,
    cache: bool = True,
    priority: int = 0,
    retry_delay: float = 0.1,
    retry_on: Kinds = (),
    no_retry_on: Kinds = (),
    outputs: Sequence[str] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> Any:
    """Make a function a task; used bare or with options.

    Parameters
    ----------
    partition, cpus, gpu, memory, gpu_memory, resources, timeout, cache, priority
        What it needs; see `requirements.requirements`.
    retries, retry_delay, retry_on, no_retry_on
        What happens when it fails; see `requirements.requirements`.
    outputs : sequence of str, optional
        Names of its outputs if it returns several, as a tuple in this order or a dict by name.
    environment : mapping, optional
        What must be around it: ``pip``, a list of requirements; ``env``, environment variables by
        name; ``python``, a version. It runs in a process of its own kind, in which these packages
        come before the worker's. What it imports of them, it imports inside.

    Examples
    --------
    >>> import jupyter_wf as wf
    >>> @wf.task(outputs=("low", "high"))
    ... def span(values):
    ...     return min(values), max(values)
    >>> with wf.Workflow(wf.LocalEngine(), "memory://"):
    ...     low, high = span.invoke([3, 1, 2])
    ...     low.get(), high.get()
    (1, 3)
    """
    names = (RESULT,) if outputs is None else tuple(outputs)
    bad = [name for name in names if not name.isidentifier()]
    if bad or len(set(names)) != len(names) or not names:
        raise CaptureError(f"outputs must be different identifiers, not {names!r}.")
    needs = requirements(
        partition=partition,
        cpus=cpus,
        gpu=gpu,
        memory=memory,
        gpu_memory=gpu_memory,
        resources=resources,
        retries=retries,
        timeout=timeout,
        cache=cache,
        priority=priority,
        retry_delay=retry_delay,
        retry_on=retry_on,
        no_retry_on=no_retry_on,
    )

    around = environment_of(environment)

    def wrap(function: Callable[..., Any]) -> TaskFunction:
        return TaskFunction(function, needs, names, around)

    return wrap if function is None else wrap(function)


def _check(function: Any) -> None:
    """Refuse what can't be a task."""
    if not callable(function):
        raise CaptureError(
            f"@task makes a task of a function, not of {function!r:.80}. "
            f"Give its options by name: @task(memory='4GiB')."
        )
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        raise CaptureError(
            f"{function.__name__}() is async, but a task is called and its result kept. "
            f"Write it with def; await in it through asyncio.run(...)."
        )
    if inspect.isgeneratorfunction(inner) and inner is function:
        raise CaptureError(
            f"{function.__name__}() is a generator, whose values could not be kept. "
            f"Return them all, as a list or an array."
        )


def _with_slots(
    value: Any,
    inputs: list[tuple[str, DataHandle]],
    give: Callable[[Any], DataHandle] | None,
) -> Any:
    """Replace every handle in `value` by a `Slot`, and append it to `inputs`.

    Large arrays are given to `give`, if there is one, and are edges as well.
    """
    kind = type(value)
    if give is not None and getattr(value, "nbytes", 0) >= LARGE and hasattr(value, "__array__"):
        value = give(value)
        kind = DataHandle
    if kind is DataHandle:
        slot = f"in{len(inputs)}"
        inputs.append((slot, value))
        return Slot(slot)
    if kind is list or kind is tuple:
        return kind(_with_slots(item, inputs, give) for item in value)
    if kind is dict:
        return {key: _with_slots(item, inputs, give) for key, item in value.items()}
    return value


def _plain_digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Digest what most calls have, numbers and short text, in a few microseconds; else None."""
    values = [*args, *kwargs.values()]
    if any(type(value) not in PLAIN for value in values):
        return None
    # The representations of these types tell type and value apart, -0.0 from 0.0 included.
    texts = [repr(value) for value in values if not _long(value)]
    return digest("call", *kwargs, "=", *texts) if len(texts) == len(values) else None


def _long(value: Any) -> bool:
    """Whether Python refuses, or takes long, to write a value down."""
    return (type(value) is int and value.bit_length() > 1000) or (
        type(value) is str and len(value) > 1000
    )


def _pickled(name: str, arguments: Any) -> bytes:
    try:
        return pickle.dumps(arguments, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):
        # What plain pickle can't send by reference, such as a lambda, goes by value.
        import cloudpickle

        try:
            return bytes(cloudpickle.dumps(arguments, protocol=5))
        except Exception as error:
            raise CaptureError(
                f"An argument of {name}.invoke() can't be sent to a worker: {error}. "
                f"Pass what it was made from instead."
            ) from error
