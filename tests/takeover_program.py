"""A program that asks for a chain of tasks on a cluster, and then is killed, or closes.

Run as ``python takeover_program.py ADDRESS FOLDER``. It says ``asked`` when it has asked, and how
the run ended; a line on its standard input has it close before that.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from threading import Thread

import jupyter_wf as wf

LENGTH = 20
#: The step that waits for the file ``go``.
GATE = 8


@wf.task
def step(folder: str, number: int, before: int) -> int:
    """Write down the number; return one more than the step before."""
    file = os.open(Path(folder, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{number}\n".encode())
    os.close(file)
    while number == GATE and not Path(folder, "go").exists():
        time.sleep(0.01)
    return before + 1


def main() -> None:
    """Ask for the chain, and wait for its end."""
    address, folder = sys.argv[1:]
    with wf.Workflow(wf.DaskEngine(address), Path(folder, "store")) as flow:
        last: object = 0
        for number in range(LENGTH):
            last = step.invoke(folder, number, last)
        run = flow.run()
        print("asked", flush=True)
        ended = Thread(target=lambda: print(run.wait().state, flush=True), daemon=True)
        ended.start()
        sys.stdin.readline()
        flow.close()


if __name__ == "__main__":
    main()
