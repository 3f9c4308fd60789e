from __future__ import annotations

import base64
import gc
import gzip
import hashlib
import json
import subprocess
import sys
import time
import weakref

import pytest

from jupyter_wf.events import WorkerChanged, WorkerSample
from jupyter_wf.widgets.views import view

from .conftest import Sent
from .test_protocol import validate

pytestmark = pytest.mark.slow


@pytest.fixture
def overview(story):
    found = view(story.flow)
    yield found
    found.close()


@pytest.fixture
def host(overview):
    from jupyter_wf.widgets.views.host import Host

    found = Host(overview._layout, overview._lock)
    overview._hosts.append(found)
    return found


def patches(messages):
    return [
        event
        for message in messages
        if message["type"] == "patch"
        for event in json.loads(message["content"])["events"]
    ]


def sample(story, cpu=0.5):
    worker = "tls://127.0.0.1:1"
    story.engine.tell(
        WorkerChanged(time.time(), worker, "joined", "one", 2),
        WorkerSample(time.time(), worker, cpu, 10**8, 10**9),
    )


def test_a_page_is_sent_the_document_and_then_its_changes(story, host):
    sent = Sent(host)
    story.state("load", "running")
    assert sent.messages == []
    host._heard(host, {"type": "open", "view": "v1"}, [])
    (first,) = sent.wait(len)
    validate("to_host", first)
    assert first["view"] == "v1"
    assert "load" in first["item"]
    story.state("load", "error")
    messages = sent.wait(lambda m: "'states'" in str(patches(m)) and "'error'" in str(patches(m)))
    for message in messages:
        validate("to_host", message)


def test_the_graph_grows(story, host):
    sent = Sent(host)
    host._heard(host, {"type": "open", "view": "v1"}, [])
    story.define("plot", ("m",), ("figure",))
    sent.wait(lambda m: any(e.get("attr") == "svg" and "plot" in e["new"] for e in patches(m)))


def test_added_tasks_are_counted_at_who_added_them(story, host):
    sent = Sent(host)
    host._heard(host, {"type": "open", "view": "v1"}, [])
    story.added("load", "fib-1", "fib-2")
    story.ended("fib-2")
    words = "2 tasks added: 2 fib"
    sent.wait(lambda m: any(e.get("attr") == "added" and words in str(e) for e in patches(m)))


def test_workers_are_drawn_and_removed(story, overview, host):
    sent = Sent(host)
    host._heard(host, {"type": "open", "view": "v1"}, [])
    sample(story)
    sent.wait(lambda m: any(e["kind"] == "ColumnsStreamed" for e in patches(m)))
    assert overview._pane.workers[0]["name"] == "one"
    story.engine.tell(WorkerChanged(time.time(), "tls://127.0.0.1:1", "left"))
    sent.wait(lambda m: any(e.get("attr") == "workers" and e["new"] == [] for e in patches(m)))
    assert all(not figure.renderers for figure in overview._charts.figures)


def test_a_change_made_in_a_page_goes_to_the_others(host):
    sent = Sent(host)
    host._heard(host, {"type": "open", "view": "v1"}, [])
    root = host._root
    event = {"kind": "ModelChanged", "model": {"id": root.id}, "attr": "name", "new": "new name"}
    content = json.dumps({"events": [event]})
    host._heard(host, {"type": "patch", "view": "v1", "content": content}, [])
    assert root.name == "new name"
    assert [m["skip"] for m in sent.messages if m["type"] == "patch"] == ["v1"]


def test_scripts_are_those_installed(host):
    validate("manifest", host.manifest)
    taken = []
    host.send = lambda content, buffers: taken.append((content, buffers))
    for script in host.manifest["scripts"]:
        host._heard(host, {"type": "script", "name": script["name"]}, [])
        content, (packed,) = taken.pop()
        validate("to_host", content)
        digest = base64.b64encode(hashlib.sha384(gzip.decompress(packed)).digest()).decode()
        assert script["integrity"] == f"sha384-{digest}"
        assert len(packed) < 600_000
    host._heard(host, {"type": "script", "name": "../../secret"}, [])
    assert taken == []


def test_the_static_form_is_text_and_a_small_picture(story, overview):
    found = overview._static({"load": "stored", "fit": "new"})
    assert found["text/plain"] == "workflow of 2 tasks: 1 new, 1 stored"
    assert len(found["image/svg+xml"]) < 8_000
    for number in range(130):
        story.define(f"t{number}", ("m",), (f"o{number}",))
    assert len(overview._static({})["image/svg+xml"]) < 8_000


def test_a_picture_of_many_tasks_stays_small(story, overview):
    for number in range(110):
        story.define(f"t{number}", ("m",), (f"o{number}",))
    assert len(overview._static({})["image/svg+xml"]) < 60_000


def test_a_dropped_view_stops_listening(story):
    before = len(story.flow.news._listeners)
    found = view(story.flow)
    gone = weakref.ref(found)
    assert len(story.flow.news._listeners) == before + 1
    found.close()
    assert len(story.flow.news._listeners) == before
    del found
    gc.collect()
    assert gone() is None


def test_importing_the_widgets_imports_no_panel():
    code = (
        "import sys, jupyter_wf.widgets, jupyter_wf.widgets.views, jupyter_wf.formats.svg\n"
        "assert not {'panel', 'bokeh', 'numpy', 'anywidget'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
