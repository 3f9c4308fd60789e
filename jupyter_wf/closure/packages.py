"""Where a module comes from, and what stands for its content in a fingerprint.

- The standard library: nothing, the Python version covers it.
- An installed distribution: its name and version. That is read once per process, since the code
  that is loaded does not change when another version is installed underneath.
- Any other module ("local": beside the notebook, on PYTHONPATH, or installed as editable, where
  files change under one version): the syntax tree of its file and of what it imports, in turn.

jupyter_wf itself counts as installed even in a checkout, or every edit of it would undo all caches.
"""

from __future__ import annotations

import ast
import functools
import os
import site
import sys
import sysconfig
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Literal

from jupyter_wf.fingerprint import digest, normalise

OURS = "jupyter_wf"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a module comes from.

    Parameters
    ----------
    kind : {"stdlib", "package", "local", "namespace", "absent"}
    name : str
        The distribution's name for a package, the module's otherwise.
    version : str
        Of the distribution.
    file : str
        Of a local module.
    """

    kind: Literal["stdlib", "package", "local", "namespace", "absent"]
    name: str
    version: str = ""
    file: str = ""


def origin(name: str) -> Origin:
    """Say where the module `name` comes from, without importing it."""
    top = name.partition(".")[0]
    if top == OURS:
        return _package(top)
    if top != name:
        above = origin(top)
        if above.kind not in ("local", "namespace"):
            return above
    spec = find_spec(name)
    if spec is None:
        return Origin("stdlib" if top in sys.stdlib_module_names else "absent", name)
    file = spec.origin or ""
    if file in ("built-in", "frozen"):
        return Origin("stdlib", name)
    if not spec.has_location or not file:
        return Origin("namespace", name)
    folders = _folders()
    path = str(Path(file).absolute())
    if path.startswith(folders.installed) or "-packages" + os.sep in path:
        return _package(top)
    if path.startswith(folders.stdlib):
        return Origin("stdlib", name)
    return Origin("local", name, file=path)


def find_spec(name: str) -> ModuleSpec | None:
    """Find a module as an import would, but without importing its parents."""
    spec: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if spec is not None:
        return spec
    above, _, _ = name.rpartition(".")
    path = None
    if above:
        parent = find_spec(above)
        if parent is None or parent.submodule_search_locations is None:
            return None
        path = list(parent.submodule_search_locations)
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path, None)
        if spec is not None:
            return spec
    return None


@dataclass(frozen=True, slots=True)
class _Folders:
    installed: tuple[str, ...]
    stdlib: tuple[str, ...]


@functools.cache
def _folders() -> _Folders:
    paths = sysconfig.get_paths()
    installed = [paths["purelib"], paths["platlib"], *site.getsitepackages()]
    installed.append(site.getusersitepackages())
    stdlib = [paths["stdlib"], paths["platstdlib"], str(Path(os.__file__).parent)]
    return _Folders(
        tuple({str(Path(p).absolute()) + os.sep for p in installed}),
        tuple({str(Path(p).absolute()) + os.sep for p in stdlib}),
    )


@functools.cache
def _package(top: str) -> Origin:
    from importlib import metadata

    try:
        return Origin("package", top, metadata.version(top))
    except metadata.PackageNotFoundError:
        names = sorted(set(_distributions().get(top, ())))
    if names:
        versions = ", ".join(metadata.version(name) for name in names)
        return Origin("package", ", ".join(names), versions)
    # Unpacked by hand into site-packages: there is nothing to go by but what it says of itself.
    return Origin("package", top, str(getattr(sys.modules.get(top), "__version__", "unknown")))


@functools.cache
def _distributions() -> dict[str, list[str]]:
    """Map top-level modules to distributions: a quarter of a second, so only if need be."""
    from importlib import metadata

    return {top: list(names) for top, names in metadata.packages_distributions().items()}


@dataclass(frozen=True, slots=True)
class Content:
    """A local module's file: the hash of its normalised code, and the modules it imports."""

    digest: str
    imports: tuple[str, ...]


def content(module: Origin) -> Content:
    """Read a local module's file; memoised until the file changes."""
    status = Path(module.file).stat()
    return _content(module.name, module.file, status.st_mtime_ns, status.st_size)


#: For each loaded module of the user's: its spec, which a reload replaces, and its file's digest.
_loaded: dict[str, tuple[object, str]] = {}


def edited(name: str, now: str) -> bool:
    """Whether a module's file has another digest than when the loaded module was first met."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is None:
        return False
    if _loaded.get(name, (None, ""))[0] is not spec:
        _loaded[name] = (spec, now)
    return _loaded[name][1] != now


@functools.lru_cache(maxsize=4096)
def _content(name: str, file: str, _changed: int, _size: int) -> Content:
    raw = Path(file).read_bytes()
    if not file.endswith((".py", ".pyw")):
        return Content(digest("bytes", raw.hex()), ())
    tree = ast.parse(raw, file)
    package = name if Path(file).stem == "__init__" else name.rpartition(".")[0]
    return Content(digest("module", normalise(tree)), imported(tree, package))


def imported(tree: ast.AST, package: str = "") -> tuple[str, ...]:
    """Names of the modules that code imports, at any depth, sorted.

    ``from a import b`` gives both ``a`` and ``a.b``, of which the latter may be no module.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            if base:
                found.add(base)
                found.update(f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
    return tuple(sorted(found))
