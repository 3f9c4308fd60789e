"""Tab completion: a table on the real completer, and the replies of a real kernel."""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

import jupyter_wf as wf
from jupyter_wf.engine.testing import PATIENCE

Cell = Callable[..., ExecutionResult]


@pytest.fixture
def complete(cell: Cell, shell: InteractiveShell, flow: wf.Workflow) -> Callable[[str], Any]:
    """Complete a text whose cursor is at ``|``, as a kernel does: (what it replaces, texts)."""
    cell("n = 1")
    cell("%%task load\nX = n", "c1")
    cell("%%task fit\nmodel, mean = X, X", "c2")

    def of(text: str) -> tuple[str, list[str]]:
        cursor = text.index("|")
        text = text.replace("|", "")
        with provisionalcompleter():
            found = shell.Completer.completions(text, cursor)
            found = list(rectify_completions(text, found))
        if not found:
            return "", []
        return text[found[0].start : found[0].end], [one.text for one in found]

    return of


@pytest.mark.parametrize(
    ("text", "replaced", "offered"),
    [
        ("%%task --g|", "--g", ["--gpu", "--gpu-memory"]),
        ("%%task fit --retri|\nx = 1", "--retri", ["--retries"]),
        ("# note\n%%task --no-c|\nx = 1", "--no-c", ["--no-cache"]),
        ("%%task --gpu 1 --me|mory", "--me", ["--memory"]),
        ("%%task fi|", "fi", ["fit"]),
        ("%%task -i m|", "m", ["mean", "model"]),
        ("%%task -i X,me|", "me", ["mean"]),
        ("%wf |", "", ["run", "status", "graph", "plan", "why", "cancel"]),
        ("%wf st|", "st", ["status"]),
        ("%wf run lo|", "lo", ["load"]),
        ("%wf why |", "", ["fit", "load", "X", "mean", "model", "n", "--help"]),
        ("%wf run --|", "--", ["--force", "--wait", "--help"]),
        ("%wf auto o|", "o", ["on", "off"]),
        ("x = 1\n%wf ru|", "ru", ["run"]),
        ("%task lo|", "lo", ["load"]),
    ],
)
def test_offers(
    complete: Callable[[str], Any], text: str, replaced: str, offered: list[str]
) -> None:
    found = complete(text)
    assert found[0] == replaced
    assert found[1][: len(offered)] == offered
    if replaced:
        assert found[1] == offered


@pytest.mark.parametrize(
    "text", ["%%task --lang |", "%%task --la|", "%wf bogus |", "%wf run| ", "x = '%wf st|"]
)
def test_offers_nothing_of_ours(complete: Callable[[str], Any], text: str) -> None:
    offered = set(complete(text)[1])
    assert not offered & {"--lang", "fit", "load", "status", "run"}


def test_bodies_complete_as_ever(complete: Callable[[str], Any]) -> None:
    assert "print" in complete("%%task\nprin|")[1]


# -- a real kernel ---------------------------------------------------------------------------------

SETUP = """
%load_ext jupyter_wf
import jupyter_wf as wf
from jupyter_wf.engine.testing import PATIENCE
flow = wf.Workflow(wf.LocalEngine(), "memory://").__enter__()
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    manager, client = start_new_kernel(PATIENCE, kernel_name="python3", cwd=str(tmp_path))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client: Any, code: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Execute a cell; return the reply and the messages it published."""
    messages: list[dict[str, Any]] = []
    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=messages.append)
    content: dict[str, Any] = reply["content"]
    return content, messages


def error_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [m["content"] for m in messages if m["msg_type"] == "error"]
    found["text"] = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(found["traceback"]))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_in_a_kernel(kernel: Any) -> None:
    assert execute(kernel, SETUP)[0]["status"] == "ok"
    reply, messages = execute(kernel, "%%task bad\nx = 1\ny = x / 0\n")
    assert reply["status"] == "ok"
    shown = [m["content"]["data"] for m in messages if m["msg_type"] == "display_data"]
    assert any("bad" in data["text/plain"] for data in shown)

    reply, messages = execute(kernel, "y.get()")
    assert (reply["status"], reply["ename"]) == ("error", "TaskError")
    assert 'File "<task bad>", line 3' in error_of(messages)["text"]
    assert "y.get()" in error_of(messages)["text"]

    reply, messages = execute(kernel, "# above\n%%task\nz = = 1")
    assert (reply["status"], reply["ename"]) == ("error", "CaptureError")
    assert "line 3 of this cell" in reply["evalue"]
    assert error_of(messages)["text"].startswith("CaptureError: line 3 of this cell")

    text = "%%task --gpu 1 --retri"
    kernel.complete(text, len(text))
    found = reply_to(kernel, "complete_reply")
    assert found["matches"] == ["--retries"]
    assert (found["cursor_start"], found["cursor_end"]) == (text.index("--retri"), len(text))

    kernel.inspect("%%task", 3)
    assert "examples:" in str(reply_to(kernel, "inspect_reply")["data"])


def reply_to(client: Any, kind: str) -> dict[str, Any]:
    while True:
        try:
            message = client.get_shell_msg(timeout=PATIENCE)
        except queue.Empty:
            pytest.fail(f"no {kind}")
        if message["msg_type"] == kind:
            content: dict[str, Any] = message["content"]
            return content
