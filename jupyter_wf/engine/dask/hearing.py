"""What workers say, as stimuli of the live graph and as events for who listens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.dask.fair import key_of
from jupyter_wf.engine.dask.link import Link
from jupyter_wf.engine.dask.slots import Slots
from jupyter_wf.engine.dask.wire import answer_in
from jupyter_wf.engine.runner import LiveEngine
from jupyter_wf.engine.signals import (
    Durable,
    LeaseEnded,
    LeaseJoined,
    Leaving,
    Stimulus,
    Suspect,
    Unrun,
    Unstored,
    WorkerJoined,
)
from jupyter_wf.events import WorkerSample
from jupyter_wf.resources import Offer


class Hearing:
    """Tells an engine what comes over the streams of its workers; on the client's loop.

    Parameters
    ----------
    engine : LiveEngine
    slots : Slots
        Is told which leases sit in a slot, and which gave it back.
    look : asyncio.Event
        Set when there is more to know of the workers than there was.
    """

    def __init__(self, engine: LiveEngine, slots: Slots, look: asyncio.Event) -> None:
        self._engine = engine
        self._slots = slots
        self._look = look

    def take(self, link: Link, items: list[tuple[Any, ...]]) -> None:
        """Take one message of a worker."""
        stimuli: list[Stimulus] = []
        if link.suspect:
            link.suspect = False
            self._engine.publish(link.changed("joined"))
            stimuli.append(Suspect(link.address, silent=False))
        near: list[Encoded] = []
        for item in items:
            match item[0]:
                case "code":
                    link.learnt[item[1]] = item[2]
                case "answers":
                    for parts in item[1]:
                        answer, small = answer_in(parts, link.learnt)
                        near += small
                        stimuli.append(answer)
                case "durable":
                    stimuli.extend([Durable(serial) for serial in item[1]])
                case "unstored":
                    stimuli.append(Unstored(*item[1:]))
                case "offer" | "joined" | "ended":
                    stimuli.append(self._came_or_went(link, *item))
                case "unrun":
                    stimuli.append(Unrun(*item[1:]))
                case "leaving":
                    self._engine.publish(link.changed("leaving"))
                    stimuli.append(Leaving(link.address))
                case "told":
                    self._engine.tell(*item[1:])
                case "sample":
                    link.full = item[2] / item[3] if item[3] else 0.0
                    self._engine.publish(WorkerSample(time.time(), link.address, *item[1:]))
        if near:
            self._engine.keep_near(near)
        if stimuli:
            self._engine.hear(*stimuli)

    def _came_or_went(self, link: Link, what: str, *about: Any) -> Stimulus:
        """Take note of what a worker says of itself and its slots."""
        if what == "offer":
            link.partition, link.offer = about
            self._look.set()
            return WorkerJoined(link.address, link.partition, link.offer)
        key = key_of(about[0])
        if what == "ended":
            link.leases.discard(key)
            # Once what it had in its hands counts as ready again.
            asyncio.get_running_loop().call_soon(self._slots.ended, key)
            return LeaseEnded(about[0])
        self._slots.joined(key)
        link.leases.add(key)
        return LeaseJoined(about[0], link.address, link.partition, link.offer or Offer())
