"""The handle a user holds on one Data node of a workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from jupyter_wf.errors import GraphError, WorkflowError
from jupyter_wf.graph import Graph

if TYPE_CHECKING:
    import numpy as np


#: What people try on a handle that only its value can do; arrays on the right take it as an array.
_OPERATORS = {
    **{
        f"__{name}__": sign for name, sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="))
    },
    **{
        f"__{side}{name}__": sign
        for side in ("", "r")
        for name, sign in (
            ("add", "+"),
            ("sub", "-"),
            ("mul", "*"),
            ("truediv", "/"),
            ("floordiv", "//"),
            ("mod", "%"),
            ("pow", "**"),
            ("matmul", "@"),
        )
    },
}
_USES = {
    "__neg__": "-",
    "__abs__": "abs()",
    "__len__": "len()",
    "__iter__": "iteration",
    "__contains__": "in",
    "__getitem__": "[…]",
    "__float__": "float()",
    "__int__": "int()",
}


class Owner(Protocol):
    """What a handle asks of the workflow that it belongs to; `name` is the name of a Data node."""

    def data_key(self, name: str) -> str:
        """Return its key now."""

    def data_id(self, name: str) -> str | None:
        """Return its content id, or None while it isn't known."""

    def data_state(self, name: str) -> str:
        """Return the state of the task that makes it."""

    def data_summary(self, name: str) -> str:
        """Return one line about its value, or an empty string."""

    def wait_for(self, name: str, timeout: float | None) -> None:
        """Wait until its value can be had or never will; run what it needs."""

    def value_of(self, name: str) -> Any:
        """Wait for its value and return it."""

    def zarr_of(self, name: str) -> Any:
        """Wait until it is stored and open it with Zarr."""

    def provenance_of(self, name: str) -> Graph:
        """Return the graph of what it was made from."""


class DataHandle:
    """One immutable value of a workflow, which may still be on its way.

    It names a node of the graph: after an edit upstream its `key` is another one, and `get` brings
    it up to date. In plain code ``data.get()``, ``np.asarray(data)`` and ``await data`` give the
    value; as an argument of ``invoke`` or a free name of a ``%%task`` cell it becomes an edge.

    Examples
    --------
    >>> import jupyter_wf as wf
    >>> with wf.Workflow(wf.LocalEngine(), "memory://") as flow:
    ...     x = flow.put(3)
    ...     x.get()
    3
    """

    __slots__ = ("_owner", "name")

    def __init__(self, owner: Owner, name: str) -> None:
        self._owner = owner
        self.name = name

    @property
    def key(self) -> str:
        """How the value is made: 40 hexadecimal digits."""
        return self._owner.data_key(self.name)

    @property
    def id(self) -> str | None:
        """Content id of the value, or None until it was computed."""
        return self._owner.data_id(self.name)

    @property
    def state(self) -> str:
        """State of the task that makes it: an `events.State`, ``"new"`` or ``"stale"``."""
        return self._owner.data_state(self.name)

    @property
    def owner(self) -> Owner:
        """The workflow that it belongs to."""
        return self._owner

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the value can be had, or its task failed or was cancelled.

        Parameters
        ----------
        timeout : float or None
            Seconds; `TimeoutError` is raised after them. The task runs on.
        """
        self._owner.wait_for(self.name, timeout)
        return self

    def get(self) -> Any:
        """Return the value, waiting for it.

        Raises `TaskError` if its task failed and `TaskCancelledError` if it was cancelled.
        """
        return self._owner.value_of(self.name)

    def zarr(self) -> Any:
        """Return the stored value as a read-only ``zarr.Array`` or ``zarr.Group``."""
        return self._owner.zarr_of(self.name)

    def provenance(self) -> Graph:
        """Return the graph of all tasks and data that this value was made from."""
        return self._owner.provenance_of(self.name)

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.get_running_loop().run_in_executor(None, self.get).__await__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        import numpy as np

        return np.array(self.get(), dtype=dtype, copy=copy)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self.name!r} has no truth value until it is computed: use .get().")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DataHandle):
            return self._owner is other._owner and self.name == other.name
        if hasattr(other, "__array__"):
            return NotImplemented
        # Never False: `X == 3` asks for the value, and would be answered wrongly for ever.
        raise self._not_the_value("==")

    def __hash__(self) -> int:
        return hash((id(self._owner), self.name))

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("_"):  # protocols, which handles do not have, are asked for so
            raise AttributeError(f"'DataHandle' object has no attribute {attribute!r}")
        raise AttributeError(f"{self._not_the_value('.' + attribute)}")

    def _not_the_value(self, what: str) -> TypeError:
        return TypeError(
            f"{self.name!r} is a handle, on which {what} does not work. Use .get() for its "
            f"value, or put this code in a %%task cell."
        )

    def __reduce__(self) -> NoReturn:
        raise WorkflowError(
            f"{self.name!r} is a handle of this workflow and can't be sent elsewhere. "
            f"Pass it as an argument of the task, or send its value: .get()."
        )

    def __repr__(self) -> str:
        try:
            summary = self._owner.data_summary(self.name)
        except GraphError:
            return f"<Data {self.name}: no longer in the workflow>"
        return f"<Data {self.name}: {self.state}{', ' + summary if summary else ''}>"


def _refuse() -> None:
    """Have operators say what to do instead: Python's own messages speak of a class only."""

    def operator(sign: str) -> Callable[..., Any]:
        def refuse(self: DataHandle, other: object) -> Any:
            if hasattr(other, "__array__") and not isinstance(other, DataHandle):
                return NotImplemented
            raise self._not_the_value(sign)

        return refuse

    def use(what: str) -> Callable[..., NoReturn]:
        def refuse(self: DataHandle, *_: object) -> NoReturn:
            raise self._not_the_value(what)

        return refuse

    for name, sign in _OPERATORS.items():
        setattr(DataHandle, name, operator(sign))
    for name, what in _USES.items():
        setattr(DataHandle, name, use(what))


_refuse()
