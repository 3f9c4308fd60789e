"""Names of nodes: what may be one, how the call of a function is named, and how it is shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from itertools import count

from jupyter_wf.errors import GraphError

MAX_NAME = 200
#: Digits of its key by which a call is named, and the fewest that are shown of them.
DIGITS = 16
FEWEST = 4
#: What is named after a key or a content id, and may have an output behind it.
_HASHED = re.compile(r"(?P<label>.+)-(?P<hash>[0-9a-f]{12,})(?P<rest>\..+)?")


def check_name(kind: str, name: str) -> None:
    """Raise `GraphError` unless `name` can name a node: 1 to 200 printable characters."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or not name.isprintable():
        shown = repr(name)[:60]
        raise GraphError(f"{shown} can't name a {kind}: use 1 to {MAX_NAME} printable characters.")


def call_name(label: str, key: str) -> str:
    """Return the name of a call, which says which one it is: an equal call is the same node."""
    return f"{label}-{key[:DIGITS]}"


def label_of(name: str) -> str:
    """Return the name of the function whose call is named so.

    Examples
    --------
    >>> label_of(call_name("fit", "25d57cdb36e04a8d" + 24 * "0"))
    'fit'
    """
    return name.rpartition("-")[0] or name


def ends_in_hash(name: str) -> bool:
    """Whether a name has a short form."""
    return _HASHED.fullmatch(name) is not None


def short_names(names: Collection[str]) -> dict[str, str]:
    """Return each name as it is to be read among the others: no two are alike.

    Of a name that ends in a hash as few digits are left as tell it from those of the same
    beginning; alone it needs none. Other names stay as they are.

    Examples
    --------
    >>> calls = ["fit-25d57cdb36e04a8d", "fit-8c01ffe21b7a9d30", "load-77aa01b2c3d4e5f6", "plot"]
    >>> list(short_names(calls).values())
    ['fit-25d5', 'fit-8c01', 'load', 'plot']
    """
    alike: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        found = _HASHED.fullmatch(name)
        if found is not None:
            kind = found["label"], found["rest"] or ""
            alike.setdefault(kind, {})[found["hash"]] = name
    short = {name: name for name in names}
    for (label, rest), calls in alike.items():
        digits = _digits([*calls])
        for hash_, name in calls.items():
            short[name] = f"{label}-{hash_[:digits]}{rest}"
            if len(calls) == 1 and label + rest not in short:
                short[name] = label + rest
    # What would be taken for another one keeps its whole name.
    times = Counter(short.values())
    return {
        name: one if times[one] == 1 and (one == name or one not in short) else name
        for name, one in short.items()
    }


def _digits(hashes: list[str]) -> int:
    """Return how many digits tell hashes apart."""
    return next(n for n in count(FEWEST) if len({one[:n] for one in hashes}) == len(hashes))
