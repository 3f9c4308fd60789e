"""Keeps a worker's packages out of an environment that has another version of what they need.

They stand behind the environment's own, so that a task can use what the notebook uses. A package
built for another NumPy than the one in front would fail in obscure ways, or compute nonsense.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from packaging.requirements import Requirement


class Guard:
    """Finds nothing; refuses to let packages be found that don't fit.

    Parameters
    ----------
    front : sequence of str
        Folders of the environment's own packages.
    behind : sequence of str
        Folders of the worker's.
    """

    def __init__(self, front: Sequence[str], behind: Sequence[str]) -> None:
        self._behind = [folder for folder in behind if folder.endswith("-packages")]
        self._front = list(front)
        self._modules: dict[str, list[str]] | None = None
        self._ours = {
            _normal(found.name): found.version for found in metadata.distributions(path=self._front)
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Raise `ImportError` for a package of the worker that does not fit."""
        if "." in name or name in sys.stdlib_module_names:
            return None
        if PathFinder.find_spec(name, self._front) or not PathFinder.find_spec(name, self._behind):
            return None
        for package in self._packages(name):
            for needed, wanted in self._needs(package):
                has = self._ours.get(needed)
                if has is not None and not wanted.contains(has, prereleases=True):
                    raise ImportError(
                        f"{package} is the worker's and needs {needed}{wanted}, but the task's "
                        f"environment has {needed} {has}. Add {package} to the environment.",
                        name=name,
                    )
        return None

    def _packages(self, module: str) -> Sequence[str]:
        if any(True for _ in metadata.distributions(name=module, path=self._behind)):
            return [module]
        return self._by_module().get(module, [])

    def _by_module(self) -> dict[str, list[str]]:
        """Map modules to packages of another name: reading them all takes a quarter of a second."""
        if self._modules is None:
            self._modules = {}
            for package in metadata.distributions(path=self._behind):
                tops = {file.parts[0].partition(".")[0] for file in package.files or ()}
                for top in tops:
                    self._modules.setdefault(top, []).append(package.name)
        return self._modules

    def _needs(self, package: str) -> Sequence[tuple[str, Any]]:
        (found, *_) = metadata.distributions(name=package, path=self._behind)
        needs = [Requirement(text) for text in found.requires or ()]
        return [
            (_normal(need.name), need.specifier)
            for need in needs
            if need.marker is None or need.marker.evaluate({"extra": ""})
        ]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
