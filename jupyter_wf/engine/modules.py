"""Local modules in a worker process: imported anew when their files were edited.

Python imports a module once per process. A worker that kept the first version would run old code
and have its values stored under the fingerprint of the new.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from jupyter_wf.graph import Code

Used = tuple[tuple[str, str], ...]


def modules_of(code: Code) -> Used:
    """Return the local modules that a code uses, each with the digest of its content.

    Examples
    --------
    >>> modules_of(Code("cell", "c", "", "f", parts=(("body", "1"), ("module tools", "2"))))
    (('tools', '2'),)
    """
    return tuple(
        [
            (label.removeprefix("module "), digest)
            for label, digest in code.parts
            if label.startswith("module ")
        ]
    )


class Modules:
    """What is known of the local modules of this process.

    Modules that are loaded when this is made are taken to be up to date; any that is loaded later
    without a word here (to read a pickled value, say) is imported again when a code first uses it.
    """

    def __init__(self) -> None:
        self.version = 0
        self._given = frozenset(sys.modules)
        self._digests: dict[str, str] = {}
        self._lock = Lock()

    def follow(self, used: Used) -> int:
        """Let imports find these contents of these modules, as far as that is on disk.

        If one of them is loaded with another content, every local module that is known is unloaded,
        because others may have taken over names of its old version.

        Returns
        -------
        int
            Grows with each unloading: what was made of local modules before is out of date.
        """
        with self._lock:
            if any(self._outdated(name, digest) for name, digest in used):
                self._unload({*self._digests, *(name for name, _ in used)})
                self._digests.clear()
                self.version += 1
            if any(name not in self._digests for name, _ in used):
                # A file that is younger than the last look into its folder would not be found.
                importlib.invalidate_caches()
                self._digests.update(used)
            return self.version

    def _outdated(self, name: str, digest: str) -> bool:
        known = self._digests.get(name)
        if known is None:
            return name in sys.modules and name not in self._given
        return known != digest

    def _unload(self, names: set[str]) -> None:
        for name in [*sys.modules]:
            parents = name.split(".")
            if not any(".".join(parents[: i + 1]) in names for i in range(len(parents))):
                continue
            module = sys.modules.pop(name)
            # `from package import module` takes what the package has by that name.
            above = sys.modules.get(name.rpartition(".")[0])
            if above is not None and vars(above).get(parents[-1]) is module:
                delattr(above, parents[-1])
            # Byte code counts as current if the source has the same size and the same second.
            compiled = getattr(getattr(module, "__spec__", None), "cached", None)
            if compiled:
                with suppress(OSError):
                    Path(compiled).unlink()
