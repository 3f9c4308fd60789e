"""Tab completion of the magics: options, verbs, and names of tasks and data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from jupyter_wf.magics import options
from jupyter_wf.magics.cells import is_task
from jupyter_wf.magics.verbs import VERBS

_LINE = re.compile(r"\s*(%%?)(task|wf)\s(.*)", re.DOTALL)
_NAMES_OF_DATA = ("-i", "-o", "--inputs", "--outputs")

#: Returns the names of the tasks and of the data.
Known = Callable[[], tuple[list[str], list[str]]]


class Completer:
    """Completes the lines of ``%%task``, ``%task`` and ``%wf``.

    Parameters
    ----------
    known : callable
        Returns the names of the tasks and of the data.
    """

    def __init__(self, known: Known) -> None:
        self._known = known

    def complete(self, before: str) -> tuple[str, list[tuple[str, str]]] | None:
        """Return the word to complete and (completion, type) pairs; None if it is not ours.

        Parameters
        ----------
        before : str
            The line up to the cursor.

        Examples
        --------
        >>> Completer(lambda: (["fit"], ["X", "model"])).complete("%%task a --gp")
        ('--gp', [('--gpu', 'option'), ('--gpu-memory', 'option')])
        """
        line = _LINE.fullmatch(before)
        if line is None:
            return None
        percent, magic, rest = line.groups()
        *words, word = re.split(r"\s+", rest)
        if magic == "wf":
            found = self._wf(words)
        elif percent == "%%":
            found, word = self._task(words, word)
        else:
            found = ((name, "task") for name in self._known()[0])
        return word, [pair for pair in found if pair[0].startswith(word) and pair[0] != word]

    def _task(self, words: list[str], word: str) -> tuple[Iterator[tuple[str, str]], str]:
        tasks, data = self._known()
        last = words[-1] if words else ""
        if last in _NAMES_OF_DATA:
            return ((name, "data") for name in data), word.rpartition(",")[2]
        if word.startswith("-"):
            return ((option, "option") for option in _options()), word
        if last.startswith("--") and last not in _flags():
            return iter(()), word  # the value of an option
        return ((name, "task") for name in tasks), word

    def _wf(self, words: list[str]) -> Iterator[tuple[str, str]]:
        if not words:
            yield from ((verb, "verb") for verb in VERBS)
            return
        verb = VERBS.get(words[0])
        if verb is None:
            return
        if verb.argument == "switch":
            yield from (("on", "value"), ("off", "value"))
        elif verb.argument in ("names", "name"):
            tasks, data = self._known()
            yield from ((name, "task") for name in tasks)
            yield from ((name, "data") for name in data if name not in tasks)
        yield from ((option, "option") for option in (*verb.options, "--help"))

    def matcher(self) -> Callable[[CompletionContext], SimpleMatcherResult]:
        """Return this as a matcher for ``IPCompleter.custom_matchers``."""

        @context_matcher(priority=100, identifier="jupyter_wf")
        def jupyter_wf(context: CompletionContext) -> SimpleMatcherResult:
            before = context.text_until_cursor
            lines = context.full_text.split("\n")
            if before.lstrip().startswith("%%") and not is_task(
                "\n".join(lines[: context.cursor_line + 1])
            ):
                return _result("", ())
            found = self.complete(before)
            return _result("", ()) if found is None else _result(*found)

        return jupyter_wf  # type: ignore[no-any-return]


def _result(word: str, found: Iterable[tuple[str, str]]) -> Any:
    completions = [SimpleCompletion(text=text, type=kind) for text, kind in found]
    return {
        "completions": completions,
        "matched_fragment": word,
        "ordered": True,
        "suppress": bool(completions),
    }


def _options() -> list[str]:
    return [
        option
        for action in options.shown_actions()
        for option in action.option_strings
        if option.startswith("--")
    ]


def _flags() -> set[str]:
    return {o for a in options.shown_actions() if a.nargs == 0 for o in a.option_strings}
