"""What a task's code is: everything it uses, followed from the function or the cell."""

from __future__ import annotations

from jupyter_wf.closure.code import FunctionCode, cell_code, function_code, value_digest

__all__ = ["FunctionCode", "cell_code", "function_code", "value_digest"]
