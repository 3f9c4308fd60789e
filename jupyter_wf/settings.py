"""What workflows take where they are told nothing: the command line's say."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_wf.engine.abc import Engine

if TYPE_CHECKING:
    from jupyter_wf.workflow import Workflow


@dataclass(slots=True)
class Settings:
    """What workflows made under it take where they are told nothing.

    Parameters
    ----------
    engine : callable or None
        Makes an engine; None makes an embedded one.
    store : str or None
        Folder or URL; None is ``.jupyter_wf`` in the working directory.
    dry : bool
        Whether nothing may be computed.
    made : list of Workflow
        The workflows made under it.
    """

    engine: Callable[[], Engine] | None = None
    store: str | None = None
    dry: bool = False
    made: list[Workflow] = field(default_factory=list)


settings: ContextVar[Settings | None] = ContextVar("jupyter_wf_settings", default=None)
