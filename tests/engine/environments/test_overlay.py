"""What is installed for environments: once, by whom it takes, and for as long as it is used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
from engine.environments.around import of, version
from engine.environments.wheels import broken, wheel

import jupyter_wf as wf
from jupyter_wf.engine.breaker import Breaker, Stopped
from jupyter_wf.engine.environments import locked, overlay
from jupyter_wf.engine.environments.folder import KEPT
from jupyter_wf.engine.testing import PATIENCE, wait_until
from jupyter_wf.environment import Environment
from jupyter_wf.errors import PackageError, TaskError
from jupyter_wf.events import TaskFailed

TINY = [Environment(pip=("tiny",), lock=(f"tiny=={version}",)) for version in ("1.0", "2.0")]


def place(environment: Environment) -> Path:
    """Return the folder of an environment, built if need be, that nobody uses then."""
    found = overlay.place_of(environment, lambda *_: None)
    found.close()
    return Path(found.python).parents[1]


def test_a_failed_build_is_told_in_the_installers_words_and_not_repeated_for_retries(
    flow: Any, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(packages, "tiny", "3.0")
    task = wf.task(version, environment={"pip": ["tiny>2"]}, retries=2)
    monkeypatch.setattr(overlay, "FRESH", 1000.0)
    builds: list[str] = []
    install = overlay._install
    monkeypatch.setattr(
        overlay, "_install", lambda *given: (builds.append(given[2]), install(*given))
    )
    data = task.invoke()
    with pytest.raises(TaskError, match=r"The packages tiny>2 could not be installed\. uv says"):
        data.get()
    assert of(flow, TaskFailed)[-1].attempt == 3
    assert builds == ["tiny>2"]
    # Once what was wrong is put right, a later attempt succeeds.
    wheel(packages, "tiny", "3.0", "version = 3")
    monkeypatch.setattr(overlay, "FRESH", 0.0)
    flow.run(data)
    assert data.get()[0] == 3


BUILD = """
import sys
from jupyter_wf.engine.environments import overlay
from jupyter_wf.environment import Environment
said = []
print("ready", flush=True)
sys.stdin.readline()
environment = Environment(pip=("tiny",), lock=("tiny==1.0",))
overlay.place_of(environment, lambda done, total, text: said.append(text))
print(sum("Installed" in text for text in said))
"""


def test_processes_that_build_the_same_do_it_once(packages: Path) -> None:
    command = [sys.executable, "-c", BUILD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    builders: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(3)]
    assert [builder.stdout.readline() for builder in builders] == ["ready\n"] * 3
    for builder in builders:
        builder.stdin.write("go\n")
        builder.stdin.flush()
    counts = [int(builder.communicate()[0]) for builder in builders]
    assert sorted(counts) == [0, 0, 1]


def test_a_stopped_attempt_does_not_stop_the_build(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may, install = Flag(), Flag(), overlay._install

    def slowly(*given: Any) -> None:
        began.set()
        assert may.wait(PATIENCE)
        install(*given)

    monkeypatch.setattr(overlay, "_install", slowly)
    environment = locked(Environment(pip=("tiny",)))
    breaker, stopped = Breaker(), Flag()

    def attempt() -> None:
        try:
            breaker.guarded(lambda: overlay.place_of(environment, lambda *_: None))
        except Stopped:
            stopped.set()

    thread = Thread(target=attempt)
    thread.start()
    assert began.wait(PATIENCE)
    breaker.stop()
    assert stopped.wait(PATIENCE)
    thread.join()
    monkeypatch.setattr(overlay, "_build", None)  # there is no second one
    may.set()
    assert place(environment).exists()


def test_an_overlay_whose_python_is_gone_is_told(packages: Path, cache: Path) -> None:
    environment = locked(Environment(pip=("tiny",)))
    (place(environment) / "bin" / "python").unlink()
    with pytest.raises(PackageError, match="Delete that folder"):
        place(environment)


USER = """
import sys
from jupyter_wf.engine.environments import overlay
from jupyter_wf.environment import Environment
environment = Environment(pip=("tiny",), lock=("tiny==1.0",))
place = overlay.place_of(environment, lambda *_: None)
print(place.python, flush=True)
sys.stdin.read()
"""


def test_what_nobody_has_used_for_long_is_swept_when_something_is_built(
    packages: Path, cache: Path
) -> None:
    def grow_old() -> None:
        past = time.time() - KEPT - 1
        for lock in (cache / "overlays").glob("*.lock"):
            os.utime(lock, (past, past))

    def there() -> set[Path]:
        return {path for path in (cache / "overlays").iterdir() if path.is_dir()}

    with subprocess.Popen(
        [sys.executable, "-c", USER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        used = Path(user.stdout.readline().strip()).parents[1]
        unused = place(TINY[1])
        assert there() == {used, unused}
        grow_old()
        other = place(Environment(pip=("needy",), lock=("needy==1.0", "tiny==1.0")))
        wait_until(lambda: there() == {used, other}, "what nobody uses is removed")
        user.kill()
    grow_old()
    assert place(TINY[0]) == used
    # It was used just now; what is made anew is not mistaken for what was there before.
    again = place(TINY[1])
    assert again == unused
    wait_until(lambda: there() == {used, again}, "the other is removed")
