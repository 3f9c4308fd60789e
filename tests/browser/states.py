"""What a page showed of tasks, however short: each state, and what was told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Sees states that pass between two looks of a polling test.
WATCH = """() => {
  const seen = window.statesSeen = {};
  const note = element => {
    const {task, state} = element.dataset;
    const kind = element.closest('svg') ? 'graph' : 'card';
    const states = ((seen[kind] ??= {})[task] ??= []);
    if (state && states.at(-1) !== state) states.push(state);
  };
  const hear = element => {
    const teller = element.closest?.('.wf-badge, .jp-wf-body');
    const task = teller?.closest('[data-task]')?.dataset.task;
    if (task) ((seen.told ??= {})[task] ??= []).push(teller.textContent);
  };
  const visit = node => {
    if (!node.querySelectorAll) return;
    if (node.matches?.('[data-task][data-state]')) note(node);
    node.querySelectorAll('[data-task][data-state]').forEach(note);
    for (const child of [node, ...node.querySelectorAll('*')])
      if (child.shadowRoot) observe(child.shadowRoot);
  };
  const observed = new WeakSet();
  const observe = root => {
    if (observed.has(root)) return;
    observed.add(root);
    new MutationObserver(changes => {
      for (const change of changes) {
        if (change.type === 'attributes') visit(change.target);
        else {
          change.addedNodes.forEach(visit);
          hear(change.target);
        }
      }
    }).observe(root, {subtree: true, childList: true, attributeFilter: ['data-state']});
    visit(root);
  };
  observe(document);
}"""


def in_order(wanted: tuple[str, ...], seen: list[str]) -> bool:
    """Whether `wanted` occurs in `seen` in this order, perhaps with others between."""
    rest = iter(seen)
    return all(state in rest for state in wanted)


class States:
    """The states shown, by task, in the order in which they were shown."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.evaluate(WATCH)

    def cards(self) -> dict[str, list[str]]:
        """Return what the cards showed."""
        return dict(self._page.evaluate("() => window.statesSeen.card ?? {}"))

    def graph(self) -> dict[str, list[str]]:
        """Return what the nodes of drawn graphs showed."""
        return dict(self._page.evaluate("() => window.statesSeen.graph ?? {}"))

    def told(self, task: str) -> list[str]:
        """Return what was told of a task, on its card and at its node, in their order."""
        told = self._page.evaluate("() => window.statesSeen.told ?? {}")
        return list(told.get(task, []))

    def forget(self) -> None:
        """Start to watch anew."""
        self._page.evaluate("() => { for (const kind in statesSeen) delete statesSeen[kind]; }")
