"""Cells of a notebook, for the tests of what a task's code is."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from typing import Any

from jupyter_wf.closure import function_code
from jupyter_wf.graph import Code

COUNT = itertools.count()


def notebook(source: str, filename: str = "", first_line: int = 1) -> dict[str, Any]:
    """Execute a cell as a notebook does, and return its namespace."""
    text = "\n" * (first_line - 1) + textwrap.dedent(source)
    filename = filename or f"<cell {next(COUNT)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, filename, "exec"), space)
    return space


def code_of(source: str, **where: Any) -> Code:
    return function_code(notebook(source, **where)["task"])


def differing(one: str, other: str) -> set[str]:
    """Names of the parts in which the tasks of two notebooks differ."""
    a, b = code_of(one), code_of(other)
    assert (a.fingerprint == b.fingerprint) == (a.parts == b.parts)
    return {part for part, _ in set(a.parts) ^ set(b.parts)}


TRIALS = '''
ALPHA = {3, "a", (1, 2)}
BETA = 2
UNUSED = 1

def helper(x):
    """Of use."""
    return [x, BETA, *sorted(map(str, ALPHA))]

def unrelated():
    return UNUSED

def task(x):
    # Work.
    return helper(x)
'''

BASE = """
import functools, enum, dataclasses, contextlib
from typing import NamedTuple

ALPHA = 3
ITEMS = [1, {"a": (2, 3)}]

def low(n):
    return ALPHA * n

@dataclasses.dataclass
class Config:
    rate: float = 0.5
    def scaled(self):
        return low(self.rate)

class Pair(NamedTuple):
    a: int
    b: int = 2

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

class Model:
    limit = 10
    def __init__(self, a):
        self.a = a
    @property
    def double(self):
        return low(self.a)
    @classmethod
    def make(cls):
        return cls(1)
    @staticmethod
    def check(x):
        return x > 0

class Child(Model):
    def __init__(self):
        super().__init__(7)

def logged(function):
    @functools.wraps(function)
    def inner(*given):
        return function(*given), 1
    return inner

@logged
def decorated(x):
    return low(x)

@functools.lru_cache(maxsize=8)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

@contextlib.contextmanager
def opened():
    yield low(1)

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

def adder(n):
    return lambda x: x + n

add = adder(1)
square, cube = lambda x: x ** 2, lambda x: x ** 3
part = functools.partial(low, n=4)
config, pair, model = Config(), Pair(1), Model(5)
TABLE = {"low": low, "square": square}
"""
