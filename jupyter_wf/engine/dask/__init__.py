"""An engine on Dask: leases on the slots of its workers, and streams to and from them.

The only package that imports distributed.
"""

from jupyter_wf.engine.dask.engine import DaskEngine

__all__ = ["DaskEngine"]
