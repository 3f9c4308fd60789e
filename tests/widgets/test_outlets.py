"""Outputs in a notebook, with an IPython shell whose kernel is played by the test."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jupyter_wf.widgets import outlets
from jupyter_wf.widgets.outlets import WIDGET, Outlet


class Shell:
    """Stands for IPython's shell in a kernel: which cell runs, and what was published."""

    def __init__(self) -> None:
        self.published: list[tuple[dict, dict, bool]] = []
        self.parent: dict = {}
        self.kernel = SimpleNamespace(get_parent=lambda channel: self.parent)

    def run(self, cell: str, number: int) -> None:
        self.parent = {"header": {"msg_id": f"m{number}"}, "metadata": {"cellId": cell}}

    def take(self, data, metadata=None, *, transient=None, update=False) -> None:
        self.published.append((data, transient or {}, update))


@pytest.fixture
def shell(monkeypatch):
    found = Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: found)
    monkeypatch.setattr("IPython.display.publish_display_data", found.take)
    monkeypatch.setattr(outlets, "_shown", {})
    return found


def test_two_outputs_and_one_update(shell):
    outlet = Outlet(lambda: None)
    shell.run("a", 1)
    outlet.show({"text/plain": "one"}, "model")
    (static, transient, update), (live, nothing, _) = shell.published
    assert (static, update, nothing) == ({"text/plain": "one"}, False, {})
    assert live[WIDGET]["model_id"] == "model"
    outlet.update({"text/plain": "two"})
    outlet.update({"text/plain": "two"})
    assert shell.published[2:] == [({"text/plain": "two"}, transient, True)]


def test_what_is_not_shown_is_not_updated(shell):
    Outlet(lambda: None).update({"text/plain": "one"})
    assert shell.published == []


def test_text_alone_without_a_front_end(shell):
    del shell.kernel
    Outlet(lambda: None).show({"text/plain": "one"}, "model")
    assert [data for data, *_ in shell.published] == [{"text/plain": "one"}]


def test_running_a_cell_again_ends_what_it_showed(shell):
    ended: list[str] = []
    for cell, number, name in [("a", 1, "x"), ("a", 1, "y"), ("b", 2, "z"), ("a", 3, "w")]:
        shell.run(cell, number)
        Outlet(lambda name=name: ended.append(name)).show({"text/plain": name}, name)
    assert ended == ["x", "y"]
    shell.run("a", 4)
    Outlet(lambda: None).show({"text/plain": "v"}, "v")
    assert ended == ["x", "y", "w"]
