"""The options of ``%%task``, parsed from its line."""

from __future__ import annotations

import argparse
import shlex
from argparse import SUPPRESS
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

from jupyter_wf.environment import Environment, environment
from jupyter_wf.errors import CaptureError
from jupyter_wf.requirements import Requirements, requirements

DESCRIPTION = """\
Make this cell a task: code that runs on a worker, once, and whose results are kept.

Without options, inputs and outputs are inferred from the code. An input is a name that the body
uses without binding it first: the output of another task, or a variable of the notebook. An output
is a name that it binds at top level, except imports, definitions, _private names, and names that
only carry a loop, a `with`, an `except` or a `case`. Modules, functions and classes of the notebook
that the body uses travel with it. %%task returns at once; the outputs are then handles:
X.get() waits for a value, and another task that uses X depends on this one."""

EXAMPLES = """\
examples:
  %%task                                    named after its outputs
  mean = X.mean(axis=0)

  %%task fit --gpu 0.5 --memory 4GiB --retries 2 --timeout 600
  model = train(X, y)

  %%task noise --seed 7                     random and numpy.random are seeded, and rng is
  sample = rng.normal(size=(1000, 3))       numpy.random.default_rng(7)

  %%task plot --env "matplotlib<3.9"        in a process with that version; import it in the body
  import matplotlib

  %%task split -i X -o train,test --wait    names said, not inferred; waits until it is done
  train, test = X[::2], X[1::2]

%wf run, status, graph, plan and why look after tasks; %wf -h explains them."""


ENV = "package the body imports, as in 'jax<0.6', whatever the worker has; may be repeated"


@dataclass(frozen=True, slots=True)
class Options:
    """What one ``%%task`` line says.

    Parameters
    ----------
    name : str or None
    inputs, outputs : tuple of str, or None to infer them
    requirements : Requirements
    environment : Environment or None
    seed : int or None
    wait : bool
    """

    name: str | None = None
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    requirements: Requirements = field(default_factory=Requirements)
    environment: Environment | None = None
    seed: int | None = None
    wait: bool = False


class HelpAsked(Exception):  # noqa: N818 - asking for help is no error
    """The line asks for help, which is this exception's text."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise `CaptureError` with the message and the way to help."""
        raise CaptureError(f"{self.prog}: {message}. See {self.prog} -h.")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words; raise `CaptureError` that says which option an unknown one may stand for."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            close = get_close_matches(unknown[0].partition("=")[0], self._known(), n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            verb = f" {found.verb}" if hasattr(found, "verb") else ""
            raise CaptureError(
                f"{self.prog}{verb}: {unknown[0]!r} is not understood{meant}. "
                f"See {self.prog}{verb} -h."
            )
        return found

    def _known(self) -> set[str]:
        """Options of this parser and of its verbs."""
        found = {
            o for action in self._actions for o in action.option_strings if action.help != SUPPRESS
        }
        for action in self._actions:
            if isinstance(action.choices, dict):
                found.update(*(one._known() for one in action.choices.values()))
        return found


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        raise HelpAsked(parser.format_help())


def add_help(parser: argparse.ArgumentParser) -> None:
    """Give a parser a ``-h`` that raises `HelpAsked`."""
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="explain, with examples")


def parser() -> Parser:
    """Return the parser of the ``%%task`` line."""
    made = Parser(
        "%%task",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("name", nargs="?", metavar="NAME", help="name of the task")
    add("-i", "--inputs", action="append", metavar="NAMES", help="inputs, as in -i a,b")
    add("-o", "--outputs", action="append", metavar="NAMES", help="outputs, as in -o a,b")
    add("--partition", metavar="P", help="class of workers to run on")
    add("--cpus", type=float, default=1, metavar="N", help="cores, fractions allowed")
    add("--gpu", type=float, default=0, metavar="F", help="GPUs, fractions allowed")
    add("--memory", default="0", metavar="SIZE", help="memory, as in 4GiB or 500MB")
    add("--gpu-memory", default="0", metavar="SIZE", help="memory of each GPU, as in 8GiB")
    add(
        "--resource",
        action="append",
        default=[],
        metavar="NAME=N",
        help="what workers offer by that name, as in license=1; NAME alone: some, not taken",
    )
    add("--retries", type=int, default=0, metavar="N", help="how often to repeat when it fails")
    add(
        "--retry-delay",
        type=float,
        default=0.1,
        metavar="S",
        help="seconds until the first repetition; each further one waits about twice as long",
    )
    add(
        "--retry-on",
        action="append",
        default=[],
        metavar="NAMES",
        help="exceptions after which to repeat, as in ConnectionError,OSError; default: all",
    )
    add(
        "--no-retry-on",
        action="append",
        default=[],
        metavar="NAMES",
        help="exceptions after which not to repeat",
    )
    add("--timeout", type=float, metavar="S", help="seconds after which an attempt is stopped")
    add("--priority", type=int, default=0, metavar="N", help="higher starts first; default: 0")
    add("--env", action="append", metavar="REQUIREMENT", help=ENV)
    add("--seed", type=int, metavar="N", help="seed the random numbers; part of what the task is")
    add("--no-cache", action="store_true", help="run even if the result is stored")
    add("--wait", action="store_true", help="wait until the task is done")
    add("--map", action="append", metavar="NAME=COLLECTION", help=SUPPRESS)
    add("--lang", default="python", metavar="LANG", help=SUPPRESS)
    add_help(made)
    return made


def shown_actions() -> list[argparse.Action]:
    """Return the options that ``-h`` explains."""
    return [a for a in parser()._actions if a.help != SUPPRESS]


def parse_line(line: str) -> Options:
    """Return the options of a ``%%task`` line.

    Raises `CaptureError` for what it can't be, and `HelpAsked`.

    Examples
    --------
    >>> parse_line("fit -i X,y --gpu 0.5").inputs
    ('X', 'y')
    """
    found = parser().parse_args(split(line))
    if found.map:
        raise _not_yet("--map", "Loop over the collection in the body")
    if found.lang.lower() not in ("python", "py"):
        raise _not_yet(f"--lang {found.lang}", "Write the body in Python")
    return Options(
        name=found.name,
        inputs=_names("-i", found.inputs),
        outputs=_names("-o", found.outputs),
        requirements=requirements(
            partition=found.partition,
            cpus=found.cpus,
            gpu=found.gpu,
            memory=found.memory,
            gpu_memory=found.gpu_memory,
            resources=dict(_resource(given) for given in _listed(found.resource)),
            retries=found.retries,
            timeout=found.timeout,
            cache=not found.no_cache,
            priority=found.priority,
            retry_delay=found.retry_delay,
            retry_on=_listed(found.retry_on),
            no_retry_on=_listed(found.no_retry_on),
        ),
        environment=environment({"pip": found.env}) if found.env else None,
        seed=found.seed,
        wait=found.wait,
    )


def split(line: str) -> list[str]:
    """Split a line of a magic into words, as a shell would, without comments."""
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise CaptureError(f"The line can't be read: {error}. Close the quotes.") from None


def _not_yet(option: str, remedy: str) -> CaptureError:
    return CaptureError(f"%%task: {option} is not in this release. {remedy} for now.")


def _listed(given: Iterable[str]) -> list[str]:
    return [name.strip() for part in given for name in part.split(",") if name.strip()]


def _resource(given: str) -> tuple[str, float]:
    name, equals, amount = given.partition("=")
    try:
        return name.strip(), float(amount) if equals else True
    except ValueError:
        raise CaptureError(
            f"%%task: --resource {given!r} is not understood. Write NAME=N, as in license=1."
        ) from None


def _names(option: str, given: Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = _listed(given)
    for name in names:
        if not name.isidentifier():
            raise CaptureError(f"%%task: {option} {name!r} is not a variable's name.")
    return tuple(dict.fromkeys(names))
