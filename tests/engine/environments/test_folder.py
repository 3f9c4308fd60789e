from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_wf.engine.environments.folder import alone, folder, making

HOLD = """
import sys, time
from pathlib import Path
from jupyter_wf.engine.environments.folder import alone, making
with alone(Path(sys.argv[1] + ".lock")), making(Path(sys.argv[1])) as made:
    (made / "half").touch()
    print("here", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"JUPYTER_WF_CACHE": "/TMP/own"}, "/TMP/own/locks"),
        ({"XDG_CACHE_HOME": "/TMP/xdg"}, "/TMP/xdg/jupyter_wf/locks"),
        ({"HOME": "/TMP"}, "/TMP/.cache/jupyter_wf/locks"),
    ],
)
def test_where_it_is(
    variables: dict[str, str], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JUPYTER_WF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("/TMP", str(tmp_path)))
    assert str(folder("locks")) == found.replace("/TMP", str(tmp_path))


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with making(tmp_path / "final") as made:
            (made / "half").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not [*tmp_path.iterdir()]


def test_a_killed_maker_leaves_nothing_visible_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    final = tmp_path / "final"
    maker = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(final)], stdout=subprocess.PIPE, text=True
    )
    with maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "here\n"
        waited: list[bool] = []

        def waiting() -> None:
            waited.append(final.exists())
            maker.send_signal(signal.SIGKILL)

        with alone(Path(f"{final}.lock"), waiting):
            assert waited == [False]
            assert not final.exists()
            assert len([*tmp_path.iterdir()]) == 2
            with making(final) as made:
                (made / "whole").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final", "final.lock"]
    assert [path.name for path in final.iterdir()] == ["whole"]
