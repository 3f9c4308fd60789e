"""The scripts that Panel and Bokeh need in the page, from this very installation.

The page loads them from its own Jupyter server, where Panel's server extension serves them, and
checks them against the hash given here; where there is no such server, or it has another version,
the kernel sends them. So nothing comes from elsewhere, and nothing is kept in the notebook.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Script:
    """One script.

    Parameters
    ----------
    name : str
    url : str
        Where a Jupyter server with Panel serves it, below its base URL.
    path : Path
    """

    name: str
    url: str
    path: Path

    @property
    def integrity(self) -> str:
        """Hash of the script in the notation of Subresource Integrity (W3C, 2016)."""
        digest = hashlib.sha384(self.path.read_bytes()).digest()
        return "sha384-" + base64.b64encode(digest).decode()

    def packed(self) -> bytes:
        """Return the script, compressed by gzip."""
        return gzip.compress(self.path.read_bytes(), 6)


@cache
def scripts() -> tuple[Script, ...]:
    """Return the scripts in the order in which they are to be loaded."""
    import bokeh
    import panel

    static = Path(bokeh.__file__).parent / "server" / "static" / "js"
    found = [
        Script(name, f"panel-preview/static/js/{name}.min.js", static / f"{name}.min.js")
        for name in ("bokeh", "bokeh-widgets", "bokeh-tables")
    ]
    dist = Path(panel.__file__).parent / "dist" / "panel.min.js"
    url = "panel-preview/static/extensions/panel/panel.min.js"
    return (*found, Script("panel", url, dist))


@cache
def manifest() -> dict[str, object]:
    """Return what the page must know to load them."""
    import bokeh
    from panel.io.resources import CDN_DIST

    return {
        "version": bokeh.__version__,
        "assets": CDN_DIST,
        "scripts": [{"name": s.name, "url": s.url, "integrity": s.integrity} for s in scripts()],
    }
