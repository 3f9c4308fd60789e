from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from jupyter_wf.errors import WorkflowError
from jupyter_wf.records import Stored
from jupyter_wf.widgets.card import LONGEST_LOG, Card, _joined
from jupyter_wf.widgets.facts import as_html, as_text

from .conftest import Sent, eventually
from .test_protocol import validate

BAD = '<img src=x onerror="window.pwned=1"></script>'
X = Stored("c" * 40, "array", 2_000, "float64 (250,)")


@pytest.fixture
def card(story):
    found = Card(story.flow, "load")
    yield found
    found.close()


def test_a_card_follows_its_task(story, card):
    assert card.facts["state"] == "new"
    story.state("load", "running")
    running = eventually(card, "facts", lambda f: f["state"] == "running")
    assert running["busy"]
    assert running["started"] > 0
    story.progress("load", 3, 10)
    eventually(card, "facts", lambda f: f.get("progress", {}).get("done") == 3)
    validate("facts", card.facts)
    story.computed("load", X=(np.arange(250.0), X))
    stored = eventually(card, "facts", lambda f: f["state"] == "stored")
    assert stored["outputs"] == [{"name": "X", "summary": "float64 (250,)", "nbytes": 2000}]
    assert stored["seconds"] == 0.25
    assert "progress" not in stored
    validate("facts", stored)


def test_a_card_counts_the_tasks_that_were_added(story, card):
    story.state("load", "waiting")
    story.added("load", "fib-1", "fib-2", "plus-1")
    eventually(card, "facts", lambda f: "progress" in f)
    story.ended("fib-1")
    said = "1 of 3 added tasks have ended"
    found = eventually(card, "facts", lambda f: f["progress"]["note"] == said)
    assert found["added"] == "3 tasks added: 2 fib, 1 plus"
    validate("facts", found)
    story.computed("load", X=(np.arange(250.0), X))
    stored = eventually(card, "facts", lambda f: f["state"] == "stored")
    assert "progress" not in stored
    assert stored["added"] == found["added"]


def test_calls_are_written_in_short_and_told_in_full(story):
    names = [f"fib-{digits}e04a8d25d57cdb" for digits in ("1a2b", "1a2c")]
    story.define(names[0], (), (names[0],))
    story.define(names[1], (names[0],), (f"{names[1]}.low", "m2"))
    card = Card(story.flow, names[1])
    validate("facts", card.facts)
    assert card.facts["task"] == names[1]
    assert card.facts["short"] == {
        names[0]: "fib-1a2b",
        names[1]: "fib-1a2c",
        f"{names[1]}.low": "fib.low",
    }
    assert f'<strong title="{names[1]}">fib-1a2c</strong>' in as_html(card.facts)
    assert f'<code title="{names[0]}">fib-1a2b</code>' in as_html(card.facts)
    assert names[1] in as_text(card.facts)
    card.close()


def test_a_failure_is_shown_with_its_lines(story, card):
    story.failed("load", BAD)
    found = eventually(card, "facts", lambda f: f["state"] == "error")
    assert found["error"]["lines"] == [3]
    assert found["error"]["message"] == BAD
    validate("facts", found)


def test_why_it_is_cached(story, card):
    story.state("load", "cached", "same code and inputs as in run r-1")
    found = eventually(card, "facts", lambda f: f["state"] == "cached")
    assert found["why"] == "same code and inputs as in run r-1"


def test_long_texts_are_cut(story, card):
    story.failed("load", "m" * 100_000)
    found = eventually(card, "facts", lambda f: f["state"] == "error")
    assert len(found["error"]["message"]) < 1000
    assert len(found["error"]["traceback"]) < 10_000


def test_an_edit_upstream_shows(story):
    card = Card(story.flow, "fit")
    story.state("fit", "stored")
    eventually(card, "facts", lambda f: f["state"] == "stored")
    story.define("load", (), ("X",), source="another")
    eventually(card, "facts", lambda f: f["state"] in ("new", "stale"))
    card.close()


def test_a_removed_task_has_a_card_still(story, card):
    story.flow.remove("load")
    found = eventually(card, "facts", lambda f: "removed" in f.get("why", ""))
    validate("facts", found)


def test_there_is_no_card_of_no_task(story):
    with pytest.raises(WorkflowError, match="'nothing'"):
        Card(story.flow, "nothing")


# -- the log --------------------------------------------------------------------------------------


def text_of(messages):
    return "".join(text for m in messages if m["type"] == "log" for _, text in m["items"])


def test_nothing_is_sent_before_a_page_asks(story, card):
    sent = Sent(card)
    story.state("load", "running")
    story.log("load", "early\n")
    eventually(card, "facts", lambda f: f["state"] == "running")
    assert sent.messages == []
    card._heard(card, {"type": "hello"}, [])
    (message,) = sent.wait(len)
    assert message == {"type": "log", "reset": True, "items": [["stdout", "early\n"]]}
    validate("to_card", message)


def test_a_thousand_lines_are_a_few_messages(story, card):
    sent = Sent(card)
    card._heard(card, {"type": "hello"}, [])
    story.state("load", "running")
    for number in range(1000):
        story.log("load", f"{number}\n", "stdout" if number % 100 else "stderr")
    expected = "".join(f"{number}\n" for number in range(1000))
    messages = sent.wait(lambda found: text_of(found) == expected)
    assert len(messages) < 100
    for message in messages:
        validate("to_card", message)


def test_a_log_longer_than_is_kept_is_still_followed(story, card):
    sent = Sent(card)
    card._heard(card, {"type": "hello"}, [])
    story.state("load", "running")
    for number in range(5000):
        story.log("load", f"{number}\n")
    messages = sent.wait(lambda found: text_of(found).endswith("4999\n"))
    last = max(i for i, m in enumerate(messages) if m["reset"])
    shown = text_of(messages[last:]).splitlines()
    assert shown == [str(n) for n in range(int(shown[0]), 5000)]


def test_a_log_is_never_huge():
    items = _joined([("stdout", "x" * 100_000), ("stderr", "y" * 60_000)])
    assert sum(len(text) for _, text in items) < LONGEST_LOG + 100
    assert items[-1] == ["stderr", "y" * 60_000]
    assert items[0][0] == "log"


# -- previews and requests ------------------------------------------------------------------------


def test_previews_are_made_once_a_page_asks(story, card):
    story.computed("load", X=(np.arange(250.0), X))
    eventually(card, "facts", lambda f: f["state"] == "stored")
    assert card.previews == {}
    card._heard(card, {"type": "hello"}, [])
    found = eventually(card, "previews", bool)
    assert found["X"]["kind"] == "line"
    validate("previews", found)


def test_a_huge_value_is_not_fetched(story, card):
    huge = Stored("d" * 40, "array", 10**9, "float64 (125000000,)")
    small = Stored("e" * 40, "json", 1, "1")
    story.define("load", (), ("X", "n"))
    story.computed("load", X=("never fetched", huge), n=(1, small))
    card._heard(card, {"type": "hello"}, [])
    found = eventually(card, "previews", bool)
    assert list(found) == ["n"]


def test_cancel_and_run(story, card):
    story.flow.run("load")
    story.state("load", "running")
    eventually(card, "facts", lambda f: f["state"] == "running")
    card._heard(card, {"type": "cancel"}, [])
    assert story.engine.cancelled == [story.key("load")]
    story.state("load", "cancelled")
    eventually(card, "facts", lambda f: f["state"] == "cancelled")
    before = len(story.engine.submitted)
    card._heard(card, {"type": "run"}, [])
    assert story.engine.submitted[before:] == ["load"]


def test_running_a_stored_task_again_forces_it(story, card):
    story.computed("load", X=(np.arange(250.0), X))
    eventually(card, "facts", lambda f: f["state"] == "stored")
    card._heard(card, {"type": "run"}, [])
    assert story.engine.submitted[-1:] == ["load"]


def test_what_goes_wrong_is_said_on_the_card(story, card):
    story.flow.remove("load")
    card._heard(card, {"type": "run"}, [])
    assert "'load'" in card.facts["notice"]
    validate("facts", card.facts)


def test_a_message_that_is_not_known_does_nothing(story, card):
    before = dict(card.facts)
    card._heard(card, {"type": "explode"}, [])
    card._heard(card, {}, [])
    assert card.facts == before


# -- forms and ends -------------------------------------------------------------------------------


def test_every_bundle_carries_text_and_html(story, card):
    story.computed("load", X=(np.arange(250.0), X))
    eventually(card, "facts", lambda f: f["state"] == "stored")
    bundle, _ = card._repr_mimebundle_()
    assert bundle["text/plain"] == "task load: stored · X (float64 (250,))"
    assert repr(card) == bundle["text/plain"]
    assert "float64 (250,)" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_static_forms_hold_no_times():
    found = {"task": "a", "state": "stored", "outputs": [], "seconds": 1.5, "worker": "w1"}
    other = found | {"seconds": 2.5, "worker": "w2"}
    assert as_text(found) == as_text(other)
    assert as_html(found) == as_html(other)
    moving = {"task": "a", "state": "running", "started": 1.0}
    assert as_text(moving) == as_text(moving | {"state": "waiting"}) == "task a"
    assert as_html(moving) == as_html(moving | {"state": "ready"})


def test_hostile_strings_are_text():
    error = {"type": BAD, "message": BAD, "traceback": BAD, "lines": []}
    found = {
        "task": BAD,
        "state": "error",
        "inputs": [BAD],
        "outputs": [{"name": BAD, "summary": BAD}],
        "error": error,
    }
    html = as_html(found)
    assert "<img" not in html
    assert "</script" not in html
    assert html.count("&lt;img") == 7


def test_a_closed_card_does_not_listen(story):
    before = len(story.flow.news._listeners)
    card = Card(story.flow, "load")
    assert len(story.flow.news._listeners) == before + 1
    card.close()
    assert len(story.flow.news._listeners) == before
    facts = dict(card.facts)
    story.state("load", "running")
    assert card.facts == facts


def test_events_from_many_threads(story, card):
    sent = Sent(card)
    card._heard(card, {"type": "hello"}, [])
    story.state("load", "running")
    threads = [
        threading.Thread(target=lambda n=n: [story.log("load", f"{n}.{i}\n") for i in range(100)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(f"{n}.{i}" for n in range(8) for i in range(100))
    sent.wait(lambda found: sorted(text_of(found).splitlines()) == expected)
    gc.collect()
