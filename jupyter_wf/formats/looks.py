"""How each state looks, wherever it is shown: an icon, its word, a colour.

Colours are those of JupyterLab's theme, with a fallback for a light and for a dark page.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """One state.

    Parameters
    ----------
    icon : str
        SVG path, to be stroked, in a square of 16 units.
    mark : str
        The same as one character, for plain text.
    variable : str
        CSS variable of JupyterLab that holds the colour.
    light, dark : str
        The colour where there is no such variable.
    """

    icon: str
    mark: str
    variable: str
    light: str
    dark: str


_RING = "M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13"
_GREY = ("--jp-ui-font-color2", "#59636e", "#9198a1")
_BLUE = ("--jp-brand-color1", "#1769c2", "#4b9ef5")
_GREEN = ("--jp-success-color1", "#2b7a33", "#57ab5a")
_RED = ("--jp-error-color1", "#c62828", "#f47067")
_AMBER = ("--jp-warn-color1", "#a85b00", "#dd9a3a")

LOOKS = {
    "new": Look("M3 8h10M8 3v10", "+", *_GREY),
    "waiting": Look(f"{_RING}M8 4.5V8l2.5 1.5", "◷", *_GREY),
    "ready": Look(f"{_RING}M6.5 5.2L11 8l-4.5 2.8z", "▷", *_BLUE),
    "running": Look("M8 1.5a6.5 6.5 0 1 1-6.5 6.5M6.5 5.2L11 8l-4.5 2.8z", "▶", *_BLUE),
    "stored": Look("M2.5 8.6l3.7 3.7L13.5 4.4", "✔", *_GREEN),
    "cached": Look(f"{_RING}M4.8 8.3l2.3 2.3l4.2-4.6", "✓", *_GREEN),
    "error": Look("M3.2 3.2l9.6 9.6M12.8 3.2l-9.6 9.6", "✘", *_RED),
    "cancelled": Look(f"{_RING}M3.5 12.5l9-9", "⊘", *_GREY),
    "stale": Look("M13.2 5.2A6 6 0 1 0 14 8.6M13.7 1.8v3.7h-3.7", "↻", *_AMBER),
}


def look(state: str) -> Look:
    """Return how a state looks; one that is not known looks like ``new``."""
    return LOOKS.get(state, LOOKS["new"])


def tones(scope: str) -> str:
    """Return CSS that sets ``--wf-tone`` on elements with ``data-state`` inside `scope`."""
    light = [
        f"{scope} [data-state={name}]{{--wf-tone:var({one.variable},{one.light})}}"
        for name, one in LOOKS.items()
    ]
    dark = [
        f"{scope} [data-state={name}]{{--wf-tone:var({one.variable},{one.dark})}}"
        for name, one in LOOKS.items()
    ]
    return "".join(light) + "@media (prefers-color-scheme:dark){" + "".join(dark) + "}"
