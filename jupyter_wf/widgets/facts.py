"""What a card says of one task, as JSON values; `protocol.json` is its schema."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from jupyter_wf.events import FINAL
from jupyter_wf.formats.looks import look
from jupyter_wf.naming import ends_in_hash

if TYPE_CHECKING:
    from jupyter_wf.status import TaskStatus
    from jupyter_wf.workflow import Workflow

LONGEST = 8000
BUSY = frozenset({"waiting", "ready", "running"})
#: In JupyterLab the live card hides the static one before it. A dead one is hidden itself, and so
#: is what a dead view leaves below its picture: an error that says nothing to a reader.
PAIR = (
    ".jp-OutputArea-child:has(.jp-wf-static):has(+ .jp-OutputArea-child .jp-wf-live){display:none}"
    ".jp-OutputArea-child:has(.jp-wf-static) + .jp-OutputArea-child"
    ":has(> .jp-OutputArea-output:not([data-mime-type])):not(:has(.jp-wf-live)){display:none}"
    ".jp-OutputArea-child:has(> .jp-RenderedSVG) + .jp-OutputArea-child"
    ":has(> .jp-OutputArea-output:is(.jupyter-widgets,:not([data-mime-type])))"
    ":not(:has(> .jp-OutputArea-output > *)){display:none}"
)


def facts(flow: Workflow, name: str) -> dict[str, Any]:
    """Return what a card shows of the task `name`, without its log and previews."""
    graph = flow.graph
    task = graph.tasks.get(name)
    if task is None:
        return {"task": name, "state": "new", "why": "It was removed from the workflow."}
    state, status = flow.state_of(name), flow.status_of(name)
    found: dict[str, Any] = {
        "task": name,
        "state": state,
        "inputs": [data for _, data in task.inputs],
        "outputs": [_output(output, data, status) for output, data in task.outputs],
        "busy": state in BUSY,
    }
    names = (name, *(data for _, data in (*task.inputs, *task.outputs)))
    long = [one for one in names if ends_in_hash(one)]
    if long:
        found["short"] = {one: graph.short_names[one] for one in long}
    if status is None:
        return found
    if status.why:
        found["why"] = _short(status.why)
    if status.worker and state != "cached":
        worker = flow.status.workers.get(status.worker)
        found["worker"] = (worker.name if worker is not None else "") or status.worker
    if status.attempt > 1:
        found["attempt"] = status.attempt
    if state == "running":
        found["started"] = status.started
    elif status.seconds:
        found["seconds"] = status.seconds
    elif status.finished and status.started:
        found["seconds"] = status.finished - status.started
    if state == "running" and status.progress is not None:
        done, total, note = status.progress
        found["progress"] = {"done": done, "total": total, "note": _short(note)}
    elif status.added and state in BUSY:
        # Of what they add in their turn nobody knows yet, so that there is no total.
        note = f"{status.ended} of {status.added} added tasks have ended"
        found["progress"] = {"done": 0, "total": 0, "note": note}
    if status.added:
        found["added"] = _short(family(status), 200)
    if status.failure is not None:
        found["error"] = {
            "type": status.failure.type,
            "message": _short(status.failure.message),
            "traceback": _short(status.failure.traceback, LONGEST),
            "lines": list(status.failure.lines),
        }
    return found


def family(status: TaskStatus) -> str:
    """Say which tasks were added on behalf of one, the most frequent first.

    Examples
    --------
    >>> from jupyter_wf.status import NONE, TaskStatus
    >>> family(TaskStatus(added=12, kinds=NONE.update(plus=4, fib=8)))
    '12 tasks added: 8 fib, 4 plus'
    """
    kinds = sorted(status.kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    noun = "task" if status.added == 1 else "tasks"
    return f"{status.added} {noun} added: " + ", ".join(f"{n} {name}" for name, n in kinds)


def settled(found: dict[str, Any]) -> bool:
    """Whether a card that says this has reached a state worth keeping in a saved notebook."""
    return found["state"] in FINAL or found["state"] == "stale"


def as_text(found: dict[str, Any]) -> str:
    """Return a card as one line of plain text that doesn't depend on when it was computed.

    Examples
    --------
    >>> as_text({"task": "clean", "state": "running", "outputs": [{"name": "X"}]})
    'task clean → X'
    >>> outputs = [{"name": "X", "summary": "float64 (1797, 64)"}]
    >>> as_text({"task": "clean", "state": "stored", "outputs": outputs})
    'task clean: stored · X (float64 (1797, 64))'
    """
    outputs = found.get("outputs", [])
    if not settled(found):
        names = ", ".join(output["name"] for output in outputs)
        return f"task {found['task']}" + (f" → {names}" if names else "")
    parts = [f"task {found['task']}: {found['state']}"]
    if found["state"] in ("stored", "cached"):
        parts += [
            f"{o['name']} ({o['summary']})" if o.get("summary") else o["name"] for o in outputs
        ]
    if "error" in found:
        parts.append(f"{found['error']['type']}: {found['error']['message']}")
    return " · ".join(parts)


def as_html(found: dict[str, Any]) -> str:
    """Return a card as HTML that says as much without any style; every string is escaped."""
    state = found["state"] if settled(found) else "new"
    word = f": {state}" if settled(found) else ""
    mark = look(state).mark if settled(found) else "▸"
    short = found.get("short", {})
    reads = ", ".join(_named("code", name, short) for name in found.get("inputs", []))
    makes = ", ".join(
        _named("code", o["name"], short) + (f" {escape(o['summary'])}" if o.get("summary") else "")
        for o in found.get("outputs", [])
    )
    line = " → ".join(part for part in (reads, makes) if part)
    parts = [
        '<div class="jp-wf-static">',
        f"<style>{PAIR}</style>",
        f"{mark} {_named('strong', found['task'], short)}{word}",
        f"<br>{line}" if line else "",
    ]
    if "error" in found:
        error = found["error"]
        parts.append(
            f"<br><strong>{escape(error['type'])}</strong>: {escape(error['message'])}"
            f"<details><summary>Traceback</summary><pre>{escape(error['traceback'])}</pre>"
            "</details>"
        )
    return "".join([*parts, "</div>"])


def _named(tag: str, name: str, short: Mapping[str, str]) -> str:
    """Return an element with a name, and if that is shortened, its whole as a tooltip."""
    shown = short.get(name, name)
    tip = "" if shown == name else f' title="{escape(name)}"'
    return f"<{tag}{tip}>{escape(shown)}</{tag}>"


def _output(output: str, data: str, status: TaskStatus | None) -> dict[str, Any]:
    stored = None if status is None else status.outputs.get(output)
    if stored is None:
        return {"name": data}
    return {"name": data, "summary": _short(stored.summary, 200), "nbytes": stored.nbytes}


def _short(text: str, longest: int = 500) -> str:
    if len(text) <= longest:
        return text
    left_out = f"\n… {len(text) - longest} characters left out …\n"
    return text[: longest // 2] + left_out + text[-longest // 2 :]
