from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from engine.environments.wheels import wheel

from jupyter_wf.engine.environments.behind import Guard


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    """Guards an environment with tiny 1.0 from a worker with packages for tiny 2."""
    front, behind = tmp_path / "front-packages", tmp_path / "site-packages"
    for folder, name, version, needs in (
        (front, "tiny", "1.0", ()),
        (behind, "tiny", "2.0", ()),
        (behind, "fits", "1.0", ("tiny",)),
        (behind, "newer", "1.0", ("other", "Tiny>=2")),
        (behind, "elsewhere", "1.0", ("tiny>=2; sys_platform == 'nowhere'",)),
        (behind, "optional", "1.0", ("tiny>=2; extra == 'x'",)),
    ):
        with zipfile.ZipFile(wheel(tmp_path, name, version, "", needs)) as file:
            file.extractall(folder)
    # A package whose module has another name, as that of scikit-learn has.
    record = behind / "renamed-3.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: renamed\nVersion: 3.0\nRequires-Dist: tiny>1\n"
    )
    (record / "RECORD").write_text("module.py,,\n")
    (behind / "module.py").touch()
    return Guard([str(front)], [str(behind)])


@pytest.mark.parametrize("name", ["tiny", "fits", "elsewhere", "optional", "json", "absent", "a.b"])
def test_what_fits_is_left_to_others(guard: Guard, name: str) -> None:
    assert guard.find_spec(name) is None


@pytest.mark.parametrize(("name", "package"), [("newer", "newer"), ("module", "renamed")])
def test_what_needs_another_version_is_refused(guard: Guard, name: str, package: str) -> None:
    with pytest.raises(ImportError, match=f"Add {package} to the environment") as raised:
        guard.find_spec(name)
    assert "the task's environment has tiny 1.0" in str(raised.value)
