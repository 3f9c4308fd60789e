"""Environments of tasks: what their requirements mean, what is installed, the processes in them."""

from jupyter_wf.engine.environments.apart import perform_apart
from jupyter_wf.engine.environments.folder import folder as kept_in
from jupyter_wf.engine.environments.installer import program as uv_program
from jupyter_wf.engine.environments.lock import locked
from jupyter_wf.engine.environments.pool import Processes

__all__ = ["Processes", "kept_in", "locked", "perform_apart", "uv_program"]
