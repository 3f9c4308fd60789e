from __future__ import annotations

from pathlib import Path

import pytest
from engine.environments.wheels import wheel

from jupyter_wf.engine.environments import installer, locked, pip_settings
from jupyter_wf.environment import Environment
from jupyter_wf.errors import PackageError


@pytest.mark.parametrize(
    ("pip", "lock"),
    [
        (("tiny",), ("tiny==2.0",)),
        (("tiny<2",), ("tiny==1.0",)),
        (("needy",), ("needy==1.0", "tiny==1.0")),
        ((), ()),
    ],
)
def test_a_lock_names_every_package(
    packages: Path, pip: tuple[str, ...], lock: tuple[str, ...]
) -> None:
    assert locked(Environment(pip=pip)).lock == lock


def test_a_lock_is_remembered_until_its_file_is_deleted(packages: Path, cache: Path) -> None:
    first = locked(Environment(pip=("tiny",)))
    wheel(packages, "tiny", "3.0", "version = 3")
    assert locked(Environment(pip=("tiny",))) == first
    assert locked(Environment(pip=("tiny>1",))).lock == ("tiny==3.0",)
    for file in (cache / "locks").glob("*.txt"):
        file.unlink()
    assert locked(Environment(pip=("tiny",))).lock == ("tiny==3.0",)


def test_a_file_is_part_of_the_lock_with_its_content(packages: Path, tmp_path: Path) -> None:
    path = wheel(tmp_path, "own", "1.0", "a = 1")
    asked = Environment(pip=(f"own @ {path.as_uri()}",))
    first = locked(asked).lock
    assert "#sha256=" in first[0]
    wheel(tmp_path, "own", "1.0", "a = 2")
    assert locked(asked).lock != first


@pytest.mark.parametrize(
    ("pip", "says"),
    [
        ("absent", "absent was not found"),
        ("tiny>2", "only tiny<=2.0 is available and you require tiny>2"),
        ("own @ file:///nowhere/own-1.0-py3-none-any.whl", "can't be read"),
        ("own @ file:///", "is a folder"),
    ],
)
def test_what_can_not_be_resolved_is_told_in_the_installers_words(
    packages: Path, pip: str, says: str
) -> None:
    with pytest.raises(PackageError) as raised:
        locked(Environment(pip=(pip,)))
    assert says in str(raised.value).replace("\n", " ")


def test_a_cache_that_can_not_be_made_is_told(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_WF_CACHE", str(tmp_path / "file"))
    with pytest.raises(PackageError, match="Set JUPYTER_WF_CACHE to a folder of yours"):
        locked(Environment(pip=("tiny",)))


def test_without_uv_there_is_a_remedy(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(installer.shutil, "which", lambda _: None)
    with pytest.raises(PackageError, match="pip install uv"):
        locked(Environment(pip=("tiny",)))


@pytest.mark.parametrize(
    ("pip", "variables"),
    [
        ({}, {}),
        ({"index-url": "https://a"}, {"UV_DEFAULT_INDEX": "https://a"}),
        (
            {"extra-index-url": "https://a\nhttps://b"},
            {"UV_INDEX": "https://a https://b", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
        ({"find-links": "/a /b"}, {"UV_FIND_LINKS": "/a,/b"}),
        ({"timeout": "9", "default-timeout": "8"}, {"UV_HTTP_TIMEOUT": "9"}),
        ({"no-color": "1"}, {}),
        ({"timeout": "60", "cert": "/c"}, {"UV_HTTP_TIMEOUT": "60", "SSL_CERT_FILE": "/c"}),
        ({"trusted-host": "a"}, {"UV_INSECURE_HOST": "a"}),
    ],
)
def test_uv_is_told_what_pip_knows(
    pip: dict[str, str], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_FIND_LINKS", "SSL_CERT_FILE", "UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    assert pip_settings.uv_variables(pip) == variables


def test_what_is_set_for_uv_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine")
    assert pip_settings.uv_variables({"index-url": "https://a"}) == {}


def test_pip_is_asked_for_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.invalid/simple")
    assert pip_settings.pip_options()["index-url"] == "https://packages.invalid/simple"
