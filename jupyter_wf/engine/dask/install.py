"""Has a scheduler run a plugin of ours, though it need not have this package."""

from __future__ import annotations

import logging
import sys
from typing import Any

import cloudpickle
from distributed import SchedulerPlugin

logger = logging.getLogger("jupyter_wf.engine")


def install(client: Any, plugin: type[SchedulerPlugin]) -> bool:
    """Return whether a scheduler runs a plugin, whose module travels there as it stands.

    Parameters
    ----------
    client : distributed.Client
    plugin : type
        Its module may import nothing of ours. Installed once, whoever asks.
    """
    cloudpickle.register_pickle_by_value(sys.modules[plugin.__module__])
    packed = cloudpickle.dumps(plugin())
    take = client.scheduler.register_scheduler_plugin
    try:
        client.sync(take, plugin=packed, name=plugin.name, idempotent=True)
    except ValueError as error:  # it takes no pickles
        logger.info("The scheduler runs no %s: %s", plugin.name, error)
        return False
    return True
