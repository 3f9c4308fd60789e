"""A long chain of tasks that hand on, for a test that kills it half way.

FILE gets a line for each body. The one half way writes its name beside it, and waits to be let go.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import jupyter_wf as wf

LENGTH = 200
HALF = LENGTH // 2


@wf.task
def step(left: int, path: str) -> Any:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{left}\n")
    if left == 0:
        return "done"
    if left == HALF:
        Path(path).with_suffix(".half").write_text(wf.context().name, encoding="utf-8")
        while not Path(path).with_suffix(".go").exists():
            time.sleep(0.01)
    return step.invoke(left - 1, path, delegate=True)


def main(store: str, path: str) -> None:
    """Say the key of the first task, and in the end its value."""
    with wf.Workflow(wf.DaskEngine(workers=1), store) as flow:
        end = step.invoke(LENGTH, path)
        print(next(iter(flow.keys.tasks.values())), flush=True)
        print(end.get(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
