"""Values as trees of JSON and arrays, and the content ids that say what they are."""

from jupyter_wf.encodings.encoded import (
    Array,
    Encoded,
    Group,
    Kind,
    Reader,
    Untyped,
    Writer,
    content_id,
)
from jupyter_wf.encodings.registry import decode, encode, summarise
from jupyter_wf.encodings.unpickling import unpickle

__all__ = [
    "Array",
    "Encoded",
    "Group",
    "Kind",
    "Reader",
    "Untyped",
    "Writer",
    "content_id",
    "decode",
    "encode",
    "summarise",
    "unpickle",
]
