"""`ResultHandle` and `MultiResultHandle`: values that are on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from jupyter_wf.pymonik.session import Pymonik

T = TypeVar("T")


class ResultHandle(Generic[T]):
    """One value of a session, which may still be on its way.

    Parameters
    ----------
    result_id : str
        Key of the data, under which a task may retrieve it.
    session_id : str
    pymonik_instance : Pymonik
        The session that knows the id.
    """

    def __init__(self, result_id: str, session_id: str, pymonik_instance: Pymonik) -> None:
        self.result_id = result_id
        self.session_id = session_id
        self._pymonik = pymonik_instance

    def wait(self) -> ResultHandle[T]:
        """Wait until the value can be had; raise as `get` does if it never will."""
        data = self._pymonik.data(self.result_id).wait()
        if data.state in {"error", "cancelled"}:
            data.get()
        return self

    def get(self) -> T:
        """Return the value, waiting for it.

        Raises `TaskError` if its task failed and `TaskCancelledError` if it was cancelled.
        """
        value: T = self._pymonik.data(self.result_id).get()
        return value

    def __repr__(self) -> str:
        return f"<ResultHandle(id={self.result_id}, session={self.session_id})>"


class MultiResultHandle:
    """A list of handles, to be waited for together or one by one.

    Parameters
    ----------
    result_handles : list of ResultHandle
    """

    def __init__(self, result_handles: list[ResultHandle[Any]]) -> None:
        self.result_handles = result_handles

    @property
    def session_id(self) -> str | None:
        """The session that the values belong to; None if there are none."""
        return self.result_handles[0].session_id if self.result_handles else None

    def wait(self) -> MultiResultHandle:
        """Wait until all values can be had; raise as `get` does if one never will."""
        for handle in self.result_handles:
            handle.wait()
        return self

    def get(self) -> list[Any]:
        """Return all values, waiting for them."""
        return [handle.get() for handle in self.result_handles]

    def append(self, other: ResultHandle[Any]) -> None:
        """Add a handle."""
        if not isinstance(other, ResultHandle):
            raise TypeError(f"append() takes a ResultHandle, not a {type(other).__name__}.")
        self.result_handles.append(other)

    def extend(self, other: MultiResultHandle | list[ResultHandle[Any]]) -> None:
        """Add several handles."""
        handles = other.result_handles if isinstance(other, MultiResultHandle) else other
        if not isinstance(handles, list) or not all(isinstance(h, ResultHandle) for h in handles):
            raise TypeError(
                f"extend() takes a MultiResultHandle or a list of ResultHandle, not a "
                f"{type(other).__name__}."
            )
        self.result_handles.extend(handles)

    def __iter__(self) -> Iterator[ResultHandle[Any]]:
        return iter(self.result_handles)

    @overload
    def __getitem__(self, index: int) -> ResultHandle[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> MultiResultHandle: ...

    def __getitem__(self, index: int | slice) -> ResultHandle[Any] | MultiResultHandle:
        if isinstance(index, slice):
            return MultiResultHandle(self.result_handles[index])
        return self.result_handles[index]

    def __len__(self) -> int:
        return len(self.result_handles)

    def __repr__(self) -> str:
        return f"<MultiResultHandle(results={self.result_handles})>"
