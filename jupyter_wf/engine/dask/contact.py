"""Where the scheduler of a cluster is, whether it answers, and what to say if it doesn't."""

from __future__ import annotations

import asyncio
import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, Security
from distributed.core import connect

#: Most seconds for which a scheduler may take to answer.
CONNECT = 10.0
#: Most seconds for closing a connection.
CLOSE = 2.0


class NotStartedError(Exception):
    """An asynchronous client or cluster has not been awaited, so that it has no scheduler yet."""


def find(target: Any, security: Security | None) -> tuple[str, Security | None]:
    """Return the address of a cluster's scheduler, and what it takes to be let in.

    Of a `Client` or a cluster only that is taken, and a client of our own made from it, on a loop
    of our own: others may close theirs at any time, and an asynchronous one lives on their loop.

    Parameters
    ----------
    target : str, Client or Cluster
        Any Dask cluster: what they have in common is a ``scheduler_address``.
    security : distributed.Security or None
        In place of the target's own.
    """
    if isinstance(target, str):
        scheme = target.partition("://")[0]
        if scheme == "gateway":
            # The scheme is known once its package is imported.
            with suppress(ImportError):
                importlib.import_module("dask_gateway")
        return target, security
    security = security or getattr(target, "security", None)
    address = getattr(target, "scheduler_address", None)
    if not address:
        scheduler = target.scheduler
        if scheduler is None:
            raise NotStartedError(f"this {type(target).__name__} has not been awaited")
        address = scheduler.address
    if "://" not in address:
        # A cluster that has not been started has words here, and no address.
        raise NotStartedError(f"this {type(target).__name__} is not started, or is closed")
    return address, security


def as_client(security: Security) -> Security:
    """Return a worker's security as a client's: it may have been given nothing else."""
    found = copy(security)
    for what in ("cert", "key"):
        if getattr(found, f"tls_client_{what}") is None:
            setattr(found, f"tls_client_{what}", getattr(found, f"tls_worker_{what}"))
    return found


def reach(address: str, security: Security | None) -> None:
    """Raise unless Dask answers; a `Client` that could not connect complains once more later."""
    usual = dask.config.get("distributed.comm.timeouts.connect")
    timeout = min(CONNECT, parse_timedelta(usual, "s"))
    arguments = (security or Security()).get_connection_args("client")

    async def greet() -> None:
        comm = await connect(address, timeout, **arguments)
        await comm.close()

    with ThreadPoolExecutor(1) as own:  # the caller's thread may have a loop that runs
        own.submit(asyncio.run, greet()).result()


def close(client: Client) -> None:
    """Close a client; where this ends an attempt to reach its scheduler, Dask logs no traceback."""

    def heard(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))

    logger = logging.getLogger("distributed.client")
    logger.addFilter(heard)
    try:
        client.close(timeout=CLOSE)
    finally:
        logger.removeFilter(heard)


def failure(target: Any, error: Exception) -> str:
    """Say that a cluster can't be used, why, and what to do."""
    address = target if isinstance(target, str) else getattr(target, "scheduler_address", target)
    where = "the embedded cluster" if target is None else f"the Dask cluster {address!r}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"The workers of {where} can't import {error.name!r}. Install it there, in the same "
            f"version as here, and connect again."
        )
    if isinstance(error, NotStartedError):
        return f"No connection to {where}: {error}. Await it first, then connect."
    cause = error.__cause__ or error
    text = f"{type(cause).__name__}: {str(cause)[:500]}"
    if target is None:
        return f"{where} did not start ({text}).".capitalize()
    return (
        f"No connection to {where} ({text}). Check that its scheduler is up and that its address, "
        f"like tcp://host:8786, can be reached from here."
    )
