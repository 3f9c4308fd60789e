"""jupyter_wf: interactive workflows of tasks and immutable data, in Jupyter.

The public names are listed in ``__init__.pyi`` and loaded when they are first used, so that
importing the package costs little.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(ModuleType):
    """Keeps ``wf.task`` the decorator though ``task.py`` is a submodule: Python would rebind it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics; called by ``%load_ext jupyter_wf``."""
    from jupyter_wf.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away again; called by ``%unload_ext jupyter_wf``."""
    from jupyter_wf.magics import unload

    unload(shell)
