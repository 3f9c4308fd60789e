"""Which values exist, who holds them, and who still needs them; a part of the live graph.

Data are named by key (how a value is made), values by content id (what it is): several data may be
one value. A value may leave the workers' memory when it is durable and no unfinished task reads it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jupyter_wf.engine.signals import Drop, Source
from jupyter_wf.records import Stored

#: Bytes from which a value that no data is any more is worth keeping: it may be given again.
WORTH = 10_000


@dataclass(slots=True)
class Datum:
    """One data node: its producer, its value once there is one, and who wants it.

    Parameters
    ----------
    readers : dict
        Unfinished tasks that read it.
    waiters : dict
        Attempts whose bodies wait for it, or have waited for it and have not ended.
    followers : dict
        Data that are to be the same value, because their tasks handed them on to this one's.
    """

    key: str
    producer: str | None = None
    content: str | None = None
    readers: dict[str, None] = field(default_factory=dict)
    waiters: dict[int, None] = field(default_factory=dict)
    followers: dict[str, None] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Whether anything in the graph hangs on it."""
        return bool(self.readers or self.waiters or self.followers)


@dataclass(slots=True)
class Content:
    """One value: its size, the workers that hold it, whether the store has it, and its data.

    `about` is what is known of it, if it was made or given here.
    """

    id: str
    nbytes: int = 0
    holders: dict[str, None] = field(default_factory=dict)
    durable: bool = False
    # A dict of strings, unlike a set, costs the garbage collector nothing.
    data: dict[str, None] = field(default_factory=dict)
    about: Stored | None = None


class Values:
    """All data and values of a live graph.

    Parameters
    ----------
    keep : int
        Bytes of durable values that nobody reads now which may stay in the workers' memory.
    """

    def __init__(self, keep: int) -> None:
        self.data: dict[str, Datum] = {}
        self.contents: dict[str, Content] = {}
        self._held: dict[str, dict[str, None]] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._idle_bytes = 0
        self._keep = keep
        self._drops: dict[str, dict[str, None]] = {}

    # -- data ----------------------------------------------------------------------------------

    def datum(self, key: str) -> Datum:
        """Return the data node of this key, made if need be."""
        found = self.data.get(key)
        if found is None:
            found = self.data[key] = Datum(key)
        return found

    def available(self, datum: Datum) -> bool:
        """Whether the value can be had without computing it."""
        if datum.content is None:
            return False
        content = self.contents[datum.content]
        return content.durable or bool(content.holders)

    def read(self, key: str, task: str) -> Datum:
        """Note that `task` needs this data."""
        datum = self.datum(key)
        datum.readers[task] = None
        if datum.content is not None:
            self._busy(datum.content)
        return datum

    def expect(self, datum: Datum, serial: int) -> None:
        """Note that the body of an attempt waits for this data."""
        datum.waiters[serial] = None
        if datum.content is not None:
            self._busy(datum.content)

    def unread(self, key: str, task: str) -> None:
        """Note that `task` no longer needs this data."""
        datum = self.data.get(key)
        if datum is None:
            return
        datum.readers.pop(task, None)
        self.loosen(datum)

    def loosen(self, datum: Datum) -> None:
        """Let go of a data that somebody no longer wants, if nobody else does."""
        if datum.producer is None and not datum.wanted:
            self.remove(datum)
        elif datum.content is not None and not datum.readers:
            self._rest(self.contents[datum.content])

    def remove(self, datum: Datum) -> None:
        """Forget a data node that nobody reads."""
        self.detach(datum)
        self.data.pop(datum.key, None)

    def disown(self, keys: Iterable[str], producer: str) -> None:
        """Say that a task makes these data no more."""
        for key in keys:
            datum = self.data.get(key)
            if datum is not None and datum.producer == producer:
                datum.producer = None
                self.loosen(datum)

    # -- values --------------------------------------------------------------------------------

    def attach(self, datum: Datum, stored: Stored, *, durable: bool = False) -> None:
        """Say that this data is this value."""
        content = self.contents.get(stored.id)
        if content is None:
            self.contents[stored.id] = Content(stored.id, stored.nbytes, about=stored)
        elif content.about is None:
            idle = stored.id in self._idle
            self._busy(stored.id)
            content.about, content.nbytes = stored, stored.nbytes
            if idle:
                self._rest(content)
        self.attach_id(datum, stored.id, durable=durable)

    def attach_id(self, datum: Datum, content_id: str, *, durable: bool = False) -> None:
        """Say that this data is the value of this content id, of which no more may be known."""
        if datum.content != content_id:
            self.detach(datum)
        content = self.contents.get(content_id)
        if content is None:
            content = self.contents[content_id] = Content(content_id)
        content.durable = content.durable or durable
        content.data[datum.key] = None
        datum.content = content_id
        if datum.readers or datum.waiters:
            self._busy(content_id)

    def detach(self, datum: Datum) -> None:
        """Say that this data has no value (any more)."""
        if datum.content is None:
            return
        content = self.contents[datum.content]
        datum.content = None
        content.data.pop(datum.key, None)
        self._rest(content)

    def held(self, content_id: str, worker: str) -> None:
        """Note that a worker holds a value."""
        content = self.contents.get(content_id)
        if content is None:
            self._drops.setdefault(worker, {})[content_id] = None
            return
        content.holders[worker] = None
        if worker in self._drops:
            self._drops[worker].pop(content_id, None)
        self._held.setdefault(worker, {})[content_id] = None

    def durable(self, content_id: str) -> None:
        """Note that the store has a value."""
        content = self.contents.get(content_id)
        if content is not None:
            content.durable = True
            self._rest(content)

    def lose(self, content_id: str) -> list[Datum]:
        """Forget who holds a value; return the data that have thereby lost it."""
        content = self.contents.get(content_id)
        if content is None:
            return []
        for worker in content.holders:
            self._held[worker].pop(content_id, None)
        content.holders.clear()
        return self._gone(content)

    def worker_lost(self, worker: str) -> list[Datum]:
        """Forget what a worker held; return the data that have thereby lost their values."""
        lost: list[Datum] = []
        for content_id in self._held.pop(worker, {}):
            content = self.contents[content_id]
            del content.holders[worker]
            if not content.holders:
                lost.extend(self._gone(content))
        self._drops.pop(worker, None)
        return lost

    def source(self, datum: Datum) -> Source:
        """Return where this data's value is."""
        assert datum.content is not None
        content = self.contents[datum.content]
        return Source(content.id, content.nbytes, tuple(content.holders), content.durable)

    def rest(self, content_id: str) -> None:
        """Let go of a value, if it is durable and nobody reads it."""
        content = self.contents.get(content_id)
        if content is not None:
            self._rest(content)

    def drops(self) -> Iterator[Drop]:
        """Yield the instructions that free memory, once."""
        drops, self._drops = self._drops, {}
        for worker, contents in drops.items():
            if contents:
                yield Drop(worker, tuple(contents))

    # -- which values may leave memory ---------------------------------------------------------

    def _gone(self, content: Content) -> list[Datum]:
        self._busy(content.id)
        if content.durable:
            if not content.data:
                del self.contents[content.id]
            return []
        lost = [self.data[key] for key in sorted(content.data)]
        for datum in lost:
            datum.content = None
        del self.contents[content.id]
        return lost

    def _needed(self, content: Content) -> bool:
        for key in content.data:
            datum = self.data[key]
            if datum.readers or datum.waiters:
                return True
        return False

    def _busy(self, content_id: str) -> None:
        if content_id in self._idle:
            del self._idle[content_id]
            self._idle_bytes -= self.contents[content_id].nbytes

    def _rest(self, content: Content) -> None:
        """Let go of a value if nobody needs it: when the room for idle ones is used, or at once.

        At once if no data is this value any more, and it is small.
        """
        if content.id not in self.contents:
            return
        small = content.about is not None and content.nbytes < WORTH
        if not content.data and (small or not content.durable or not content.holders):
            self._forget(content)
            return
        if not content.durable or not content.holders or content.id in self._idle:
            return
        if self._needed(content):
            return
        self._idle[content.id] = None
        self._idle_bytes += content.nbytes
        while self._idle_bytes > self._keep:
            self._forget(self.contents[next(iter(self._idle))])

    def _forget(self, content: Content) -> None:
        self._busy(content.id)
        for worker in content.holders:
            self._held[worker].pop(content.id, None)
            self._drops.setdefault(worker, {})[content.id] = None
        content.holders.clear()
        if not content.data:
            del self.contents[content.id]

    def check(self, alive: Iterable[str]) -> None:
        """Raise `AssertionError` unless all of this is consistent; for tests."""
        workers = set(alive)
        idle = 0
        for content in self.contents.values():
            assert set(content.holders) <= workers, (content, workers)
            assert content.durable or content.holders, content
            assert content.durable or content.data, content
            for worker in content.holders:
                assert content.id in self._held[worker]
            for key in content.data:
                assert self.data[key].content == content.id
            if content.id in self._idle:
                idle += content.nbytes
                assert content.durable
                assert not self._needed(content)
        for key, datum in self.data.items():
            assert datum.key == key
            assert datum.content is None or key in self.contents[datum.content].data
            assert datum.producer is not None or datum.wanted, datum
            for follower in datum.followers:
                assert follower in self.data, (datum, follower)
        assert idle == self._idle_bytes <= max(self._keep, 0)
        for worker, contents in self._held.items():
            for content_id in contents:
                assert worker in self.contents[content_id].holders
