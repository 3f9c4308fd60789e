"""The notebook magics ``%%task`` and ``%wf``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load(shell: InteractiveShell) -> None:
    """Add the magics, their completion and their error messages to a shell."""
    from jupyter_wf.magics.extension import Extension

    Extension.of(shell).load()


def unload(shell: InteractiveShell) -> None:
    """Take away all that `load` added."""
    from jupyter_wf.magics.extension import Extension

    Extension.of(shell).unload()
