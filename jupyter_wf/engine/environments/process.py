"""One process of an environment, seen from the worker that has it."""

from __future__ import annotations

import os
import signal
import site
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from jupyter_wf.encodings import Encoded
from jupyter_wf.engine.environments.frames import receive, send
from jupyter_wf.engine.environments.overlay import Place
from jupyter_wf.engine.family import Lease
from jupyter_wf.engine.signals import Attempt, Family, Finished, Source, Stimulus
from jupyter_wf.environment import Environment
from jupyter_wf.graph import Code

#: Seconds between two moments at which an attempt can be stopped.
LOOK = 0.05
#: Bytes under way to a process: with Linux's usual 200 kB, large arrays take twice as long.
BUFFER = 4_000_000
#: Seconds that a process has to end by itself.
END = 1.0

# The overlay's packages come first, the worker's own behind them. Only what brought the task here
# must be the worker's, in whatever version the overlay has it too.
BOOT = """
import site, sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
connection, alive, front, *behind = sys.argv[1:]
front = front.split(":") if front else []
sys.argv[:] = [""]
sys.path[:0] = front
for entry in behind:
    if entry.endswith("-packages"):
        site.addsitedir(entry)
    elif entry not in sys.path:
        sys.path.append(entry)
for name in ("cloudpickle", "jupyter_wf"):
    spec = PathFinder.find_spec(name, [*front, *behind])
    if spec is not None:
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
from jupyter_wf.engine.environments.child import main
main(int(connection), int(alive), behind)
"""

_NO_CODE = Code("cell", "", "", "")


class EndedError(Exception):
    """The process ended before the task did; says how."""


class KilledError(EndedError, MemoryError):
    """The process was killed, by all appearances because memory ran out."""


class Worker(Protocol):
    """What a process may ask of the worker."""

    def tell(self, serial: int, stream: str, what: object, /) -> None:
        """Pass on output and progress."""

    def find(self, source: Source, loaded: list[str]) -> Encoded:
        """Return a value."""

    def keep(self, encoded: Encoded) -> None:
        """Hold a value."""


class Desk:
    """Serves a process while it runs one attempt.

    Attributes
    ----------
    loaded : list of str
        Content ids of what was fetched for the attempt.
    values, given : dict
        By content id: what came with the answer, and the values that its children read.
    """

    def __init__(self, worker: Worker, lease: Lease, attempt: Attempt) -> None:
        self.lease = lease
        self.attempt = attempt
        self.loaded: list[str] = []
        self.values: dict[str, Encoded] = {}
        self.given: dict[str, Encoded] = {}
        self._worker = worker

    def serve(
        self, kind: str, what: Sequence[Any], values: Sequence[Encoded]
    ) -> tuple[Any, Sequence[Encoded]] | None:
        """Do what the process asks; return the reply, if it waits for one."""
        try:
            match kind:
                case "told":
                    self._worker.tell(*what)
                    return None
                case "spawn":
                    self._take(what[0], values)
                    self.lease.spawn(self.attempt.serial, what[0])
                    return ("done", None), ()
                case "wait":
                    return ("done", self.lease.wait(self.attempt, *what)), ()
                case _:
                    return ("done", None), [self._worker.find(what[0], self.loaded)]
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked
            return ("raise", error), ()

    def answer(self, answer: Stimulus, values: Sequence[Encoded]) -> Stimulus:
        """Take what came with the answer."""
        self.values = {value.id: value for value in values}
        if isinstance(answer, Finished):
            self._take(answer.family, values)
        return answer

    def _take(self, family: Family, values: Sequence[Encoded]) -> None:
        near = {value.id: value for value in values}
        for _, stored in family.given:
            self.given[stored.id] = near[stored.id]
            self._worker.keep(near[stored.id])


class Process:
    """A process that runs one attempt after another in an environment.

    Parameters
    ----------
    environment : Environment
    place : Place
        Whose Python to run; it is kept for as long as the process.
    """

    def __init__(self, environment: Environment, place: Place) -> None:
        self.environment = environment
        self._place = place
        self._codes: dict[Any, int] = {}
        self._socket, theirs = socket.socketpair()
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._socket.settimeout(LOOK)
        alive, self._alive = os.pipe()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        try:
            front, behind = _paths()
            self._process = subprocess.Popen(
                [place.python, "-P", "-c", BOOT, str(theirs.fileno()), str(alive), front, *behind],
                pass_fds=(theirs.fileno(), alive),
                stdin=subprocess.DEVNULL,
                stdout=2,  # what goes past sys.stdout must not get into a program's output
                stderr=self._words,  # until it works; then where its output goes
                env=_variables(environment, place.python),
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(alive)
        self.pid = self._process.pid

    def perform(self, desk: Desk, inputs: Sequence[Encoded]) -> Stimulus:
        """Run an attempt; raise `EndedError` if the process ends."""
        code = desk.attempt.job.code
        identity = (code.fingerprint, code.filename, code.first_line, code.source)
        known = identity in self._codes
        number = self._codes.setdefault(identity, len(self._codes))
        bare = replace(desk.attempt, job=replace(desk.attempt.job, code=_NO_CODE))
        head = (number, None if known else code, desk.lease.nonce, bare)
        try:
            send(self._socket, head, inputs)
            while True:
                (kind, *what), values = receive(self._socket)
                if kind == "answer":
                    return desk.answer(what[0], values)
                reply = desk.serve(kind, what, values)
                if reply is not None:
                    send(self._socket, *reply)
        except EOFError:
            how = self.end(kill=True)
            killed = self._process.returncode == -signal.SIGKILL
            raise (KilledError if killed else EndedError)(how) from None

    def end(self, *, kill: bool = False) -> str:
        """End the process; return how it ended."""
        self._socket.close()
        try:
            if not kill:
                self._process.wait(END)
        except subprocess.TimeoutExpired:
            kill = True
        if kill:
            # It leads a group of its own, in which what it has started is ended too.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
            self._place.close()
            self._words.seek(0)
            self._said = self._words.read().decode(errors="replace").strip()
            self._words.close()
        return f"{_ended(status)}\n{self._said}".strip()


def _ended(status: int) -> str:
    text = "The process in which the task's environment is"
    if status == -signal.SIGKILL:
        return f"{text} was killed, as the system does when memory runs out. Reserve more memory."
    if status < 0:
        name = signal.Signals(-status).name
        return f"{text} was ended by {name}, as a fault in compiled code does."
    return f"{text} ended with status {status} before the task did."


def _paths() -> tuple[str, list[str]]:
    """Return this process's module folders: those of the user's own, and those of packages.

    The standard library is in neither, because the environment's Python has its own.
    """
    usual = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    stdlib = {*usual, *(str(Path(path, "lib-dynload")) for path in usual)}
    sites = {*site.getsitepackages(), site.getusersitepackages()}
    front: list[str] = []
    behind: list[str] = []
    for entry in sys.path:
        path = os.path.abspath(entry)  # noqa: PTH100 - '' is the working directory
        if path in stdlib or (path.endswith(".zip") and Path(path).parent.name == "lib"):
            continue
        # What comes after packages was added by them: what is installed as editable, for one.
        is_site = path in sites or path.endswith("-packages") or bool(behind)
        (behind if is_site else front).append(path)
    return ":".join(dict.fromkeys(front)), [*dict.fromkeys(behind)]


def _variables(environment: Environment, python: str) -> dict[str, str]:
    variables = {**os.environ, **dict(environment.env)}
    if environment.builds:
        home = Path(python).parent
        for name in ("PYTHONPATH", "PYTHONHOME"):
            variables.pop(name, None)
        variables["VIRTUAL_ENV"] = str(home.parent)
        usual = variables.get("PATH", os.defpath)
        variables["PATH"] = f"{home}{os.pathsep}{usual}"
    return variables
