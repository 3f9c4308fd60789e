"""What a Dask worker offers, from what Dask and its environment say of it.

=====================  ============================================================================
cores                  its threads: so many tasks it runs at once
memory                 its memory limit
partition              ``DASK_JUPYTER_WF__PARTITION=NAME`` (configuration ``jupyter-wf.partition``),
                       or a resource named ``partition-NAME``, as in ``dask worker --resources
                       "partition-gpu=1"``
GPUs                   the first of these that is said: ``DASK_JUPYTER_WF__GPUS="0,1"``, names of
                       devices; the resource ``GPU=2``, so many of its own; in a worker of
                       dask-cuda, its own; what ``CUDA_VISIBLE_DEVICES`` lists, or else all that
                       there are
memory of each GPU     what NVIDIA's library says, or else ``DASK_JUPYTER_WF__GPU_MEMORY=16GiB``
any other resource     by its name
=====================  ============================================================================

Several workers of a host that see the same devices share them; those that are declared by the
resource ``GPU`` are the worker's own.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from typing import Any

import dask

from jupyter_wf.engine import devices
from jupyter_wf.requirements import megabytes
from jupyter_wf.resources import UNSAID, WHOLE, Device, Offer

SLOT = "wf"
PARTITION = "partition-"


def offer_of_worker(worker: Any) -> tuple[str | None, Offer]:
    """Return the partition and the offer of a `distributed.Worker`, in which this runs."""
    resources = {str(name): float(n) for name, n in worker.state.total_resources.items()}
    manager = worker.memory_manager
    limit = (manager.memory_limit if manager is not None else 0) or 0
    named = {
        name: round(WHOLE * amount)
        for name, amount in resources.items()
        if name != SLOT and name.upper() != "GPU" and not name.startswith(PARTITION)
    }
    return partition_of(resources), Offer(
        WHOLE * worker.state.nthreads,
        _devices(worker.address, resources),
        limit // 10**6 or UNSAID,
        tuple(sorted(named.items())),
    )


def partition_of(resources: Mapping[str, float]) -> str | None:
    """Return the partition to which a worker with these resources belongs.

    Examples
    --------
    >>> partition_of({"GPU": 1, "partition-gpu": 1})
    'gpu'
    """
    said = dask.config.get("jupyter-wf.partition", None)
    if said:
        return str(said)
    found = sorted(name for name in resources if name.startswith(PARTITION))
    return found[0][len(PARTITION) :] if found else None


def _devices(address: str, resources: Mapping[str, float]) -> tuple[Device, ...]:
    said = dask.config.get("jupyter-wf.gpus", None)
    own = [int(amount) for name, amount in resources.items() if name.upper() == "GPU"]
    place = platform.node()
    if said is not None:
        # A single number is one by the time that Dask has read it.
        listed = said if isinstance(said, list | tuple) else str(said).split(",")
        names = [str(name).strip() for name in listed if str(name).strip()]
    elif own:
        place, names = address, [*devices.seen()[: own[0]]]
        names += [str(i) for i in range(len(names), own[0])]
    elif "dask_cuda" in sys.modules:
        # It lists all devices to each of its workers, which is to use the first.
        names = [*devices.seen()[:1]]
    else:
        names = [*devices.seen()]
    return tuple([Device(f"{place}/{name}", name, _memory(name)) for name in names])


def _memory(name: str) -> int:
    known = devices.memory(name)
    said = dask.config.get("jupyter-wf.gpu-memory", None)
    return megabytes(str(said)) if said and known == UNSAID else known
