"""An engine on processes of `concurrent.futures`."""

from __future__ import annotations

from jupyter_wf.engine.futures.engine import FuturesEngine

__all__ = ["FuturesEngine"]
