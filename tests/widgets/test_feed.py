from __future__ import annotations

import gc
import threading
import time
import weakref

from jupyter_wf.engine.testing import PATIENCE
from jupyter_wf.widgets.feed import Feed, feed_of


class Counting:
    def __init__(self) -> None:
        self.calls: list[float] = []
        self.news = threading.Condition()

    def __call__(self) -> None:
        with self.news:
            self.calls.append(time.monotonic())
            self.news.notify_all()

    def wait(self, count: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.calls) >= count, PATIENCE), len(self.calls)


def test_the_first_look_needs_no_event(story):
    seen = Counting()
    undo = feed_of(story.flow).watch(seen, 0.0, "load")
    seen.wait(1)
    undo()


def test_a_thousand_events_are_a_few_looks(story):
    seen, began = Counting(), time.monotonic()
    undo = feed_of(story.flow).watch(seen, 0.1, "load")
    seen.wait(1)
    for number in range(1000):
        story.log("load", f"{number}\n")
    seen.wait(2)
    undo()
    # None comes too early; how late one is, is the machine's affair.
    assert all(call - began > 0.0999 * number for number, call in enumerate(seen.calls))


def test_events_of_other_tasks_are_not_heard(story):
    mine, other = Counting(), Counting()
    feed = feed_of(story.flow)
    undos = [feed.watch(mine, 0.0, "load"), feed.watch(other, 0.0, "fit")]
    mine.wait(1)
    other.wait(1)
    before = len(mine.calls)
    story.state("fit", "running")
    other.wait(2)
    assert len(mine.calls) == before
    for undo in undos:
        undo()


def test_a_task_is_followed_to_its_new_key(story):
    seen = Counting()
    undo = feed_of(story.flow).watch(seen, 0.0, "load")
    seen.wait(1)
    old = story.key("load")
    story.define("load", (), ("X",), source="another")
    assert story.key("load") != old
    seen.wait(2)
    count = len(seen.calls)
    story.state("load", "running")
    seen.wait(count + 1)
    undo()


def test_undo_ends_the_subscription_and_the_thread(story):
    before = len(story.flow.news._listeners)
    seen = Counting()
    feed = Feed(weakref.ref(story.flow))
    one, two = feed.watch(seen, 0.0), feed.watch(seen, 0.0)
    seen.wait(2)
    thread = feed._thread
    assert thread is not None
    assert len(story.flow.news._listeners) == before + 1
    one()
    assert len(story.flow.news._listeners) == before + 1
    two()
    two()
    assert len(story.flow.news._listeners) == before
    thread.join(PATIENCE)
    assert not thread.is_alive()
    count = len(seen.calls)
    story.state("load", "running")
    assert len(seen.calls) == count


def test_a_failing_look_does_not_end_the_feed(story, caplog):
    seen = Counting()

    def bad() -> None:
        raise RuntimeError("broken view")

    feed = feed_of(story.flow)
    undos = [feed.watch(bad, 0.0), feed.watch(seen, 0.0)]
    seen.wait(1)
    count = len(seen.calls)
    story.state("load", "running")
    seen.wait(count + 1)
    for undo in undos:
        undo()
    assert "broken view" in caplog.text


def test_a_feed_keeps_no_workflow_alive():
    class Flow:
        def subscribe(self, listener):
            return lambda: None

    flow = Flow()
    gone = weakref.ref(flow)
    assert feed_of(flow) is feed_of(flow)
    del flow
    gc.collect()
    assert gone() is None
