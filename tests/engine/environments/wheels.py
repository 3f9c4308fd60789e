"""Tiny packages, so that tests of environments need no network."""

from __future__ import annotations

import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, version: str, source: str, needs: tuple[str, ...] = ()) -> Path:
    """Write a wheel of one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    needed = "".join(f"Requires-Dist: {one}\n" for one in needs)
    files = {
        f"{name}.py": source,
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as file:
        for entry, text in files.items():
            inside = entry.endswith(".py")
            file.writestr(entry if inside else f"{name}-{version}.dist-info/{entry}", text)
    return path


def broken(folder: Path, name: str, version: str) -> Path:
    """Write a wheel that resolves and can't be installed: it names a file that is not there."""
    path = wheel(folder, name, version, "")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        at = file.getinfo(f"{name}-{version}.dist-info/WHEEL").header_offset
        size = len(file.read(f"{name}-{version}.dist-info/WHEEL"))
    start = whole.index(b"Wheel-Version", at)
    path.write_bytes(whole[:start] + b"x" * size + whole[start + size :])
    return path
