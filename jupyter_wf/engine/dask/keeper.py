"""The process that keeps the embedded cluster's nannies (``python -m …keeper``).

It is told what to do on its standard input, which it then watches: when that closes, the notebook's
kernel is gone, however it died, and everything here ends at once. Nannies live here and not in the
kernel because the processes they start import the ``__main__`` of theirs, which must not be a
user's script.
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO


def main() -> None:
    """Read the specification, start nannies, and keep them until the kernel is gone."""
    import json
    import threading

    lifeline = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    spec = json.loads(lifeline.readline())
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    sys.path[:] = spec["path"]
    os.chdir(spec["cwd"])
    import asyncio

    asyncio.run(_keep(spec))


def _end_with(lifeline: BinaryIO) -> None:
    import psutil

    lifeline.read()
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(0)


async def _keep(spec: dict[str, Any]) -> None:
    import asyncio

    import dask
    from distributed import Nanny, Security

    dask.config.set(spec["config"])
    nannies = [
        Nanny(
            spec["scheduler"],
            name=name,
            security=Security(**spec["security"]),
            **spec["options"],
            **own,
        )
        for name, own in spec["workers"].items()
    ]
    await asyncio.gather(*nannies)
    await asyncio.gather(*(nanny.finished() for nanny in nannies))


if __name__ == "__main__":
    main()
