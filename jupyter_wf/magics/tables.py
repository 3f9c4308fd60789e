"""Aligned text for people, the same for the same state, so that notebooks can be tested."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jupyter_wf.resources import UNSAID, WHOLE, Worker

if TYPE_CHECKING:
    from jupyter_wf.environment import Environment
    from jupyter_wf.graph import Task
    from jupyter_wf.requirements import Requirements
    from jupyter_wf.workflow import Workflow


def table(rows: Iterable[Sequence[str]]) -> str:
    """Align rows of text in columns.

    Examples
    --------
    >>> print(table([("task", "state"), ("a", "stored")]))
    task  state
    a     stored
    """
    cells = list(rows)
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(f"{c:{w}}" for c, w in zip(row, wide, strict=True)).rstrip() for row in cells
    )


def status_table(flow: Workflow) -> str:
    """Say the state of every task, each after those that it needs, and count the states."""
    graph = flow.graph
    if not graph.tasks:
        return "No tasks yet. A cell that starts with %%task makes one; %%task -h explains."
    states = {name: flow.state_of(name) for name in graph.order()}
    rows = [("task", "state", "reads", "makes")]
    for name, state in states.items():
        task = graph.tasks[name]
        rows.append((name, state, _names(task.inputs), _names(task.outputs)))
    found = list(states.values())
    counts = ", ".join(f"{found.count(s)} {s}" for s in sorted(set(found)))
    plural = "s" if len(found) > 1 else ""
    return f"{table(rows)}\n{len(found)} task{plural}: {counts}."


def partitions_table(workers: Iterable[Worker]) -> str:
    """Say what the workers of each partition have, and what of it is free.

    Examples
    --------
    >>> from jupyter_wf.resources import idle, offer_of
    >>> offer = offer_of({"gpu": 1, "gpu_memory": 16000, "license": 2}, "w")
    >>> print(partitions_table([idle("w", "gpu", offer)]))
    partition  workers  cores   gpus                 memory  others
    gpu        1        1 of 1  1 of 1 of 16,000 MB  ?       license 2 of 2
    What is free, of what there is.
    """
    found: dict[str, list[Worker]] = {}
    for worker in workers:
        found.setdefault(worker.partition or "-", []).append(worker)
    if not found:
        return "No worker is here yet: the first task starts them, or they are starting."
    rows = [("partition", "workers", "cores", "gpus", "memory", "others")]
    for partition, those in sorted(found.items()):
        rows.append((partition, str(len(those)), *_amounts(those)))
    return f"{table(rows)}\nWhat is free, of what there is."


def _amounts(workers: Sequence[Worker]) -> tuple[str, str, str, str]:
    """Say what some workers have together; a device that several of them see counts once."""
    offers = [worker.offer for worker in workers]
    cores = _of(sum(w.free.cpu for w in workers), sum(offer.cpu for offer in offers))
    devices = {device.id: device for offer in offers for device in offer.devices}
    free = {d.id: gpu for w in workers for d, gpu in zip(w.offer.devices, w.devices, strict=True)}
    gpus = _of(sum(free.values()), WHOLE * len(devices)) if devices else "-"
    sizes = sorted({device.memory for device in devices.values()} - {UNSAID})
    gpus += f" of {', '.join(f'{size:,}' for size in sizes)} MB" if sizes else ""
    said = [worker for worker in workers if worker.offer.memory != UNSAID]
    has = sum(worker.offer.memory for worker in said)
    memory = f"{sum(w.free.memory for w in said):,} of {has:,} MB" if said else "?"
    names = dict.fromkeys(name for offer in offers for name, _ in offer.named)
    others = [
        f"{name} {_of(*(sum(dict(named).get(name, 0) for named in side) for side in sides))}"
        for name in names
        for sides in [([w.free.named for w in workers], [w.offer.named for w in workers])]
    ]
    return cores, gpus, memory, ", ".join(others) or "-"


def _of(free: int, all_: int) -> str:
    return f"{free / WHOLE:g} of {all_ / WHOLE:g}"


def task_text(flow: Workflow, task: Task) -> str:
    """Say all about one task, its source included."""
    rows = [
        ("task", task.name),
        ("state", flow.state_of(task.name)),
        ("reads", _names(task.inputs)),
        ("makes", _names(task.outputs)),
        ("needs", needs_text(task.requirements)),
        *_environment(task.code.environment),
    ]
    return f"{table(rows)}\n\n{task.code.source.rstrip()}"


def _names(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(name if slot == name else f"{slot}={name}" for slot, name in pairs) or "-"


def _environment(has: Environment | None) -> Iterable[tuple[str, str]]:
    if has is not None and has.lock:
        yield "packages", ", ".join(has.lock)
    if has is not None and has.env:
        yield "variables", ", ".join(name for name, _ in has.env)
    if has is not None and has.python:
        yield "Python", has.python


def needs_text(needs: Requirements) -> str:
    """Say what a task asks for, where that is not the usual.

    Examples
    --------
    >>> from jupyter_wf.requirements import requirements
    >>> needs_text(requirements(gpu=0.5, memory="4GB", resources={"license": True}))
    '1 cpu, 0.5 gpu, 4000 MB, license'
    """
    said = [f"{needs.cpu / 1000:g} cpu"]
    if needs.gpu:
        said.append(f"{needs.gpu / 1000:g} gpu")
    if needs.gpu_memory:
        said.append(f"{needs.gpu_memory} MB of gpu memory")
    if needs.memory:
        said.append(f"{needs.memory} MB")
    said += [f"{n / 1000:g} {name}" if n else name for name, n in needs.resources]
    if needs.partition:
        said.append(f"partition {needs.partition}")
    if needs.retries:
        said.append(f"{needs.retries} retries after {needs.retry_delay:g} s")
    if needs.retry_on:
        said.append(f"after {' or '.join(needs.retry_on)} only")
    if needs.no_retry_on:
        said.append(f"not after {' or '.join(needs.no_retry_on)}")
    if needs.timeout is not None:
        said.append(f"{needs.timeout:g} s")
    if needs.priority:
        said.append(f"priority {needs.priority}")
    if not needs.cache:
        said.append("no cache")
    return ", ".join(said)
