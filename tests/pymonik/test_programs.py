"""PymoniK programs with only their import changed, as processes beside a cluster of processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf.engine.environments import locked
from jupyter_wf.environment import Environment, environment
from jupyter_wf.errors import PackageError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

ADD = """
from jupyter_wf.pymonik import Pymonik, Task

if __name__ == "__main__":
    with Pymonik(endpoint="localhost:5001", partition="pymonik"):
        my_task = Task(lambda a, b: a+b, func_name="add")
        result = my_task.invoke(1, 2).wait().get()
        print(f"Result of add task: {result}") # 3
"""

SUBTASKS = """
from jupyter_wf.pymonik import Pymonik, task

@task
def add_one(a:int) -> int:
    return a + 1

@task
def add(a: int, b: int) -> int:
    if a <= 0:
        return b
    b_plus_one = add_one.invoke(b)
    return add.invoke(a-1, b_plus_one, delegate=True)

if __name__ == "__main__":
    with Pymonik(endpoint="localhost:5001", partition="pymonik"):
        result = add.invoke(8, 2).wait().get()
        print(f"Result of add task: {result}")
"""

CHOLESKY = """
from jupyter_wf.pymonik import Pymonik, task
from jax import numpy as jnp
@task
def cholesky(A):
   return jnp.linalg.cholesky(A)
if __name__ == "__main__":
    x = jnp.array([[2., 1.], [1., 2.]])
    with Pymonik(endpoint="localhost:5001", partition="pymonik",
                 environment={"pip":["jax"]}):
        L = cholesky.invoke(x).wait().get()
        print(jnp.allclose(x, L @ L.T))
"""

ADAPTIVE = """
import numpy as np
from datetime import timedelta
from jupyter_wf.pymonik import Pymonik, TaskOptions, task

VECTOR_SIZE_THRESHOLD = 512

@task
def aggregate_results(result_1, result_2) -> np.ndarray:
    return np.concatenate([result_1, result_2])

@task(require_context=True)
def vec_add(ctx, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    ctx.logger.info(f"In partition {ctx.task_handler.task_options.partition_id}")
    if a.size > VECTOR_SIZE_THRESHOLD:
        mid_point = a.size // 2
        a1, a2 = np.split(a, [mid_point])
        b1, b2 = np.split(b, [mid_point])
        result_handle1 = vec_add.invoke(a1, b1, pmk_partition_id="pymonik2")
        result_handle2 = vec_add.invoke(a2, b2, pmk_partition_id="pymonik2")
        return aggregate_results.invoke(result_handle1, result_handle2, delegate=True)
    else:
        return a + b

if __name__ == "__main__":
    with Pymonik(endpoint="localhost:5001", partition=["pymonik", "pymonik2"]) as pymonik:
        vec_a = np.arange(32768)
        vec_b = np.arange(32768) * 2
        options = TaskOptions(
            partition_id="pymonik2", max_duration=timedelta(seconds=60), priority=1, max_retries=2
        )
        final_result = vec_add.invoke(vec_a, vec_b, task_options=options).wait().get()
        print(np.array_equal(final_result, vec_a + vec_b))
"""

ESTIMATE_PI = """
import random
from jupyter_wf.pymonik import Pymonik, task

@task
def estimate_pi_partial(num_samples: int) -> tuple[int, int]:
    points_in_circle = 0
    for _ in range(num_samples):
        x, y = random.random(), random.random()
        if x*x + y*y <= 1.0:
            points_in_circle += 1
    return (points_in_circle, num_samples)

@task
def sum_results(x):
    total_points_in_circle = sum(res[0] for res in x)
    total_samples = sum(res[1] for res in x)
    return 4.0 * total_points_in_circle / total_samples

if __name__ == "__main__":
    num_tasks = 100
    samples_per_task = 200
    with Pymonik():
        results = estimate_pi_partial.map_invoke([(samples_per_task,) for _ in range(num_tasks)])
        final_result = sum_results.invoke(results)
        print(final_result.wait().get(), len(set(results.wait().get())))
"""

FILES = """
from pathlib import Path
from jupyter_wf.pymonik import Materialize, Pymonik, materialize, task

@task
def count(dataset: Materialize):
    found = Path(dataset.worker_path)
    return sorted(str(p.relative_to(found)) for p in found.rglob("*") if p.is_file())

@task(require_context=True)
def first_line(ctx, config: Materialize, note: str):
    ctx.logger.info(f"Reading {config.worker_path}", note=note)
    return Path(config.worker_path).read_text().splitlines()[0]

if __name__ == "__main__":
    data = Path("data") / "deep"
    data.mkdir(parents=True)
    (data / "a.txt").write_text("a")
    (Path("data") / "b.txt").write_text("b")
    (Path("data") / "config").write_text("debug=true\\nrest")
    with Pymonik(endpoint="localhost:5001") as pk:
        folder = pk.upload_materialize(materialize("data", Path("put/data").resolve()))
        config = materialize("data/config", Path("put/config").resolve())
        config = pk.upload_materialize(config, force_upload=True)
        print(count.invoke(folder).wait().get())
        print(first_line.invoke(config, "x").wait().get())
"""

OBJECTS = """
import pickle
from jupyter_wf.pymonik import Pymonik, PymonikContext, task

@task(require_context=True)
def check(ctx: PymonikContext, result_id: str):
    before = ctx.object_exists_locally(result_id)
    found = ctx.retrieve_object(result_id)
    size = len(ctx.retrieve_object(result_id, auto_unpickle=False))
    with open(ctx.get_object_path(result_id), "rb") as copy:
        same = pickle.load(copy) == found
    again = ctx.retrieve_object(result_id, force_retrieve=True) == found
    return found, before, same, again, size > 0, ctx.retrieve_object("unknown")

if __name__ == "__main__":
    with Pymonik("localhost:5001") as pk:
        handle = pk.put({"deep": [1, 2, 3]}, "my_obj").wait()
        print(check.invoke(handle.result_id).wait().get())
"""


def test_a_lambda_is_a_task(run: Callable[..., str]) -> None:
    assert run(ADD) == "Result of add task: 3\n"


def test_the_program_of_the_page_runs(run: Callable[..., str]) -> None:
    page = (ROOT / "docs" / "pymonik.md").read_text("utf-8")
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert program
    assert run(program.group(1)) == "10\n"


def test_tasks_invoke_tasks_and_hand_their_result_on(run: Callable[..., str]) -> None:
    assert run(SUBTASKS) == "Result of add task: 10\n"
    assert run(ADAPTIVE) == "True\n"


def test_an_environment_is_around_tasks(
    run: Callable[..., str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_WF_CACHE", str(cache))
    # The versions that are installed here need not be fetched.
    monkeypatch.setenv("UV_CONSTRAINT", str(ROOT / "constraints.txt"))
    try:
        locked(environment({"pip": ["jax"]}) or Environment())
    except PackageError as error:
        pytest.skip(f"There is no package index: {error}")
    assert run(CHOLESKY) == "True\n"


def test_equal_calls_are_calls_of_their_own(run: Callable[..., str], endpoint: str) -> None:
    estimate, different = run(ESTIMATE_PI, DASK_SCHEDULER_ADDRESS=f"tcp://{endpoint}").split()
    assert 2.9 < float(estimate) < 3.4
    assert int(different) > 10


def test_files_are_where_tasks_look_for_them(run: Callable[..., str], tmp_path: Path) -> None:
    assert run(FILES).splitlines() == ["['b.txt', 'config', 'deep/a.txt']", "debug=true"]
    put = tmp_path / "put"
    assert (put / "data" / "deep" / "a.txt").stat().st_mode & 0o222 == 0
    assert sorted(path.name for path in put.iterdir()) == ["config", "data"]


def test_values_are_retrieved_by_their_ids(run: Callable[..., str]) -> None:
    assert run(OBJECTS) == "({'deep': [1, 2, 3]}, False, True, True, True, None)\n"
