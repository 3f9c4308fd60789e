"""``jupyter wf``: reads the command line and calls what does the work, which it imports late."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from jupyter_wf.errors import WorkflowError

if TYPE_CHECKING:
    from jupyter_wf.cli.sources import Session

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
STDOUT, STDERR = 1, 2
FORMATS = ("svg", "mermaid", "dot", "json")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from jupyter_wf import __version__

    made = argparse.ArgumentParser(
        "jupyter wf",
        description="Run, plan and draw the workflow of a notebook or script without a browser.",
        epilog="exit codes: 0 all stored or cached, 1 a task failed, 2 bad input",
    )
    made.add_argument("--version", action="version", version=f"jupyter_wf {__version__}")
    verbs = made.add_subparsers(dest="verb", metavar="VERB", required=True)

    run = verbs.add_parser("run", help="run headless", description="Run a workflow headless.")
    _common(run)
    _selection(run)
    run.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    plan = verbs.add_parser(
        "plan",
        help="say what would run and why",
        description="Say what would run and why, with estimates. No task is executed; cells that "
        "are not tasks are, unless they need a task's value.",
    )
    _common(plan)
    _selection(plan)
    plan.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    graph = verbs.add_parser("graph", help="draw", description="Draw a workflow.")
    _common(graph)
    graph.add_argument("--format", choices=FORMATS, default="svg", help="default: svg")
    graph.add_argument("-o", "--output", metavar="FILE", help="write there, not to stdout")

    doctor = verbs.add_parser(
        "doctor",
        help="say what is installed and what is missing",
        description="Say what is installed, what is missing, and the remedy.",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return made


def _common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("source", metavar="SOURCE", help="a notebook (.ipynb) or script (.py)")
    verb.add_argument("--store", metavar="URL", help="default: .jupyter_wf beside SOURCE")
    verb.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler to run on")
    verb.add_argument("--workers", type=int, metavar="N", help="workers of the embedded cluster")


def _selection(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument
    add("--target", action="append", default=[], metavar="NAME", help="a task or value to make")
    add("--force", action="append", default=[], metavar="NAME", help="run it even if stored")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="give a variable of the source another value: a Python literal, or else text",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    given = parser().parse_args(arguments)
    with _only_results() as out:
        try:
            if given.verb == "doctor":
                return _doctor(given, out)
            return _VERBS[given.verb](given, out)
        except WorkflowError as error:
            _note(str(error))
            return BAD_INPUT
        except KeyboardInterrupt:
            _note("interrupted")
            return INTERRUPTED


@contextmanager
def _only_results() -> Iterator[TextIO]:
    """Keep stdout for results: all that cells, tasks and libraries print goes to stderr.

    File descriptors are exchanged, not only ``sys.stdout``, because worker processes and C code
    inherit or use those.
    """
    sys.stdout.flush()
    try:
        sys.stdout.fileno()
        kept = os.dup(STDOUT)
    except (AttributeError, OSError, ValueError):  # no real file: captured in this process
        yield sys.stdout
        return
    os.dup2(STDERR, STDOUT)
    before, sys.stdout = sys.stdout, sys.stderr
    try:
        with open(kept, "w", encoding="utf-8", closefd=False) as out:
            yield out
    finally:
        sys.stdout = before
        os.dup2(kept, STDOUT)
        os.close(kept)


def _note(text: str) -> None:
    sys.stderr.write(f"jupyter wf: {text}\n")


def _open(given: argparse.Namespace, *, dry: bool = False) -> Session:
    from jupyter_wf.cli.sources import Session

    return Session(
        Path(given.source),
        store=given.store,
        scheduler=given.scheduler,
        workers=given.workers,
        values=getattr(given, "set", ()),
        targets=getattr(given, "target", ()),
        force=getattr(given, "force", ()),
        dry=dry,
    )


def _run(given: argparse.Namespace, out: TextIO) -> int:
    from jupyter_wf.cli import report

    with _open(given) as session:
        ended = session.execute()
        found = report.of_run(session)
    for failure in report.failures(session):
        _note(failure)
    if ended.message:
        _note(ended.message)
    _write(out, found if given.json else report.run_text(found))
    if ended.bad_input:
        return BAD_INPUT
    return OK if found["state"] == "stored" else FAILED


def _plan(given: argparse.Namespace, out: TextIO) -> int:
    from jupyter_wf.cli import report

    with _open(given, dry=True) as session:
        ended = session.execute()
        plan = session.defined.plan(*given.target, force=given.force)
    _write(out, report.of_plan(plan) if given.json else str(plan))
    return _ended(ended)


def _graph(given: argparse.Namespace, out: TextIO) -> int:
    with _open(given, dry=True) as session:
        ended = session.execute()
        graph = session.defined.graph
        states = {name: session.defined.state_of(name) for name in graph.tasks}
    text = _drawing(given.format, graph, states)
    if given.output:
        Path(given.output).write_text(text, "utf-8")
    else:
        _write(out, text)
    return _ended(ended)


def _drawing(kind: str, graph: Any, states: dict[str, str]) -> str:
    from jupyter_wf.formats.dot import to_dot
    from jupyter_wf.formats.graphjson import to_json
    from jupyter_wf.formats.mermaid import to_mermaid
    from jupyter_wf.formats.svg import to_svg

    draw = {"svg": to_svg, "mermaid": to_mermaid, "dot": to_dot, "json": to_json}[kind]
    return draw(graph, states)


def _ended(ended: Any) -> int:
    if ended.message:
        _note(ended.message)
    if ended.bad_input:
        return BAD_INPUT
    return FAILED if ended.message else OK


def _doctor(given: argparse.Namespace, out: TextIO) -> int:
    from jupyter_wf.cli import doctor

    checks = doctor.examine()
    _write(out, doctor.as_json(checks) if given.json else doctor.as_text(checks))
    return FAILED if any(check.state == "missing" for check in checks) else OK


_VERBS = {"run": _run, "plan": _plan, "graph": _graph}


def _write(out: TextIO, document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(document, indent=2)
    out.write(text if text.endswith("\n") else f"{text}\n")
    out.flush()
