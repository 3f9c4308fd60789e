"""The verbs of ``%wf``: what each takes, says and does. Each prints plain text."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from jupyter_wf.errors import CaptureError, TaskError, WorkflowError
from jupyter_wf.magics.frames import interrupted, say
from jupyter_wf.magics.options import Parser, add_help
from jupyter_wf.magics.tables import partitions_table, status_table

if TYPE_CHECKING:
    from jupyter_wf.run import Run
    from jupyter_wf.workflow import Workflow

Arguments = argparse.Namespace


def _run(flow: Workflow, given: Arguments) -> None:
    plan = flow.plan(*given.names, force=given.force)
    started = flow.run(*given.names, force=given.force)
    said = f"Running {_some(plan.to_run)}" if plan.to_run else "Nothing to run"
    blocked = f"; {len(plan.blocked)} blocked: %wf plan says why" if plan.blocked else ""
    say(f"{said}; {len(plan.cached)} cached{blocked}.")
    if given.wait:
        wait(started)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def wait(run: Run) -> None:
    """Wait for a run; raise `TaskError` if a task failed. An interrupt leaves it running."""
    try:
        run.wait()
    except KeyboardInterrupt:
        going = ", ".join(sorted(run.tasks)) or "the run"
        raise interrupted(f"stopped waiting; {going} goes on. `%wf cancel` stops it.") from None
    for name, task in run.tasks.items():
        if task.state in ("error", "blocked"):
            raise TaskError(name, task.why or "see its card")
        if task.state == "cancelled":
            raise WorkflowError(f"Task {name!r} was cancelled.")


def _status(flow: Workflow, _: Arguments) -> None:
    say(status_table(flow))


def _graph(flow: Workflow, _: Arguments) -> Any:
    return flow.view()


def _plan(flow: Workflow, given: Arguments) -> None:
    say(str(flow.plan(*given.names, force=given.force)))


def _why(flow: Workflow, given: Arguments) -> None:
    say(flow.why(given.name))


def _cancel(flow: Workflow, given: Arguments) -> None:
    flow.cancel(*given.names)


def _remove(flow: Workflow, given: Arguments) -> None:
    flow.remove(given.name)
    say(f"Removed {given.name}. %wf undo brings it back.")


def _undo(flow: Workflow, _: Arguments) -> None:
    say(f"Undone: {flow.undo()}. %wf run brings everything up to date.")


def _redo(flow: Workflow, _: Arguments) -> None:
    say(f"Done again: {flow.redo()}. %wf run brings everything up to date.")


def _reset(flow: Workflow, _: Arguments) -> None:
    flow.reset()
    say("The workflow is empty; stored values stay. %wf undo brings it back.")


def _connect(flow: Workflow, given: Arguments) -> None:
    flow.connect(given.address)
    # Whether the cluster answers shows with the first task: nothing here waits for it.
    say(f"Tasks run on {given.address or 'an embedded cluster, which the first one starts'} now.")


def _partitions(flow: Workflow, _: Arguments) -> None:
    say(partitions_table(flow.engine.offers()))


def _auto(flow: Workflow, given: Arguments) -> None:
    if given.switch is not None:
        flow.auto = given.switch == "on"
        if flow.auto:
            flow.run()
    said = "every change runs what depends on it" if flow.auto else "%wf run runs what is stale"
    say(f"auto {'on' if flow.auto else 'off'}: {said}.")


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its arguments ("names", "name", "address", "switch"), its line of help, its deed.

    `options` are those of ``--force`` and ``--wait`` that it takes.
    """

    help: str
    do: Callable[[Workflow, Arguments], Any]
    argument: str = ""
    options: tuple[str, ...] = ()


VERBS = {
    "run": Verb("bring tasks, or everything, up to date", _run, "names", ("--force", "--wait")),
    "status": Verb("the state of every task", _status),
    "graph": Verb("draw the workflow, live", _graph),
    "plan": Verb("what would run, and why; runs nothing", _plan, "names", ("--force",)),
    "why": Verb("why a task is in its state", _why, "name"),
    "cancel": Verb("stop tasks, or everything that runs", _cancel, "names"),
    "remove": Verb("take a task out of the workflow", _remove, "name"),
    "undo": Verb("take back the last change of the workflow", _undo),
    "redo": Verb("make the change again that was undone", _redo),
    "reset": Verb("start from an empty workflow", _reset),
    "connect": Verb("run on a Dask cluster; without address, an embedded one", _connect, "address"),
    "partitions": Verb("the workers, what they offer, and what of it is free", _partitions),
    "auto": Verb("run what depends on a change after every change", _auto, "switch"),
}
#: Verbs that tell of the tasks or run them: what the tasks read is looked at before.
LOOKING = ("run", "status", "plan", "why", "graph", "auto")
#: Verbs to come, so that they are told from misspelt ones.
LATER = ("runs", "diff", "store", "export", "dash", "builder")


def parser() -> Parser:
    """Return the parser of the ``%wf`` line."""
    made = Parser(
        "%wf",
        description="Look after the tasks of this notebook.",
        epilog="examples:\n  %wf run               everything that is stale or new\n"
        "  %wf run plot --force fit --wait\n  %wf why fit\n  %wf connect tls://host:8786",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add_help(made)
    verbs = made.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for name, verb in VERBS.items():
        one = verbs.add_parser(
            name, prog=f"%wf {name}", help=verb.help, description=verb.help, add_help=False
        )
        add_help(one)
        if verb.argument == "names":
            one.add_argument("names", nargs="*", metavar="NAME", help="of a task or a value")
        elif verb.argument == "name":
            one.add_argument("name", metavar="NAME", help="of a task or a value")
        elif verb.argument == "address":
            one.add_argument("address", nargs="?", metavar="ADDRESS", help="as in tls://host:8786")
        elif verb.argument == "switch":
            one.add_argument("switch", nargs="?", choices=("on", "off"))
        if "--force" in verb.options:
            one.add_argument(
                "--force", action="append", default=[], metavar="NAME", help="run it even if stored"
            )
        if "--wait" in verb.options:
            one.add_argument("--wait", action="store_true", help="wait until all is done")
    return made


def do(flow: Workflow, words: list[str]) -> Any:
    """Do what the words of a ``%wf`` line say; return what is to be displayed, if anything."""
    if words and words[0] in LATER:
        raise CaptureError(f"%wf {words[0]} is not in this release. Available: {', '.join(VERBS)}.")
    if words and not words[0].startswith("-") and words[0] not in VERBS:
        close = get_close_matches(words[0].lower(), VERBS, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else "."
        raise CaptureError(f"%wf has no verb {words[0]!r}{meant} Available: {', '.join(VERBS)}.")
    given = parser().parse_args(words or ["-h"])
    return VERBS[given.verb].do(flow, given)
