"""Devices, memory and what users name: packed tightly, never overbooked, nobody starves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_wf.engine.abc import Job
from jupyter_wf.engine.machines import Machine
from jupyter_wf.engine.packing import AHEAD
from jupyter_wf.engine.state import LiveGraph
from jupyter_wf.engine.testing import VirtualCluster, cell
from jupyter_wf.engine.turns import EACH, LEAST
from jupyter_wf.errors import CaptureError
from jupyter_wf.requirements import Requirements, requirements
from jupyter_wf.resources import Amounts, Device, Offer, Worker, lacking, need_of, offer_of


def devices(count: int, memory: int = 16_000, worker: str = "w") -> tuple[Device, ...]:
    return tuple(Device(f"{worker}/{i}", str(i), memory) for i in range(count))


def job(name: str, **asked) -> Job:
    return cell(f"x = {name!r}", name=name, outputs=["x"], **asked)


def mix(seconds: float = 1.0) -> list[Job]:
    sizes = [300] * 3 + [700] * 3 + [1000]
    return [job(f"t{i}-{gpu}", gpu=gpu) for i, gpu in enumerate(sizes)]


@pytest.mark.parametrize("turn", range(7))
@pytest.mark.parametrize(
    "workers",
    [
        {"w": (None, Offer(8000, devices(2)), 8)},
        {f"w{i}": (None, Offer(4000, devices(1, worker=f"w{i}")), 4) for i in range(2)},
    ],
    ids=["two devices on one worker", "two workers of one device"],
)
def test_fractions_and_a_whole_device_take_as_long_as_they_must(workers, turn) -> None:
    cluster = VirtualCluster(workers, lambda _: 1.0, LiveGraph.validate)
    jobs = mix()
    assert cluster.play([(0.0, jobs[turn:] + jobs[:turn])]) == 2.0


def test_a_task_is_told_its_devices_and_keeps_off_those_of_others() -> None:
    cluster = VirtualCluster({"w": (None, Offer(8000, devices(4)), 8)}, lambda _: 1.0)
    cluster.play([(0.0, [job("a", gpu=2000), job("b", gpu=500), job("c", gpu=500), job("d")])])
    told = {span.task: span.gpus for span in cluster.spans}
    assert len(set(told["a"])) == 2
    assert told["b"] == told["c"]
    assert not set(told["a"]) & set(told["b"])
    assert told["d"] == ()


def test_device_memory_is_counted_on_the_device() -> None:
    cluster = VirtualCluster({"w": (None, Offer(8000, devices(2)), 8)}, lambda _: 1.0)
    jobs = [job(f"t{i}", gpu=100, gpu_memory=10_000) for i in range(4)]
    assert cluster.play([(0.0, jobs)]) == 2.0
    assert Counter(span.gpus for span in cluster.spans) == {("0",): 2, ("1",): 2}


def test_what_users_name_is_counted_and_what_must_be_there_is_not_taken() -> None:
    offer = Offer(8000, named=(("avx512", 1000), ("license", 2000)))
    workers = {"w": (None, offer, 8), "v": (None, Offer(8000), 8)}
    cluster = VirtualCluster(workers, lambda _: 1.0, LiveGraph.validate)
    assert (
        cluster.play([(0.0, [job(f"t{i}", resources=(("license", 1000),)) for i in range(4)])]) == 2
    )
    assert {span.worker for span in cluster.spans} == {"w"}
    cluster = VirtualCluster(workers, lambda _: 1.0, LiveGraph.validate)
    assert cluster.play([(0.0, [job(f"t{i}", resources=(("avx512", 0),)) for i in range(4)])]) == 1
    assert {span.worker for span in cluster.spans} == {"w"}


def test_memory_that_is_reserved_is_not_given_twice() -> None:
    cluster = VirtualCluster({"w": (None, Offer(8000, memory=1000), 8)}, lambda _: 1.0)
    assert cluster.play([(0.0, [job(f"t{i}", memory=400) for i in range(4)])]) == 2.0


def test_two_workers_that_see_one_device_share_it() -> None:
    seen = devices(1, worker="host")
    workers = {"w": (None, Offer(4000, seen), 4), "v": (None, Offer(4000, seen), 4)}
    cluster = VirtualCluster(workers, lambda _: 1.0, LiveGraph.validate)
    assert cluster.play([(0.0, [job(f"t{i}", gpu=1000) for i in range(3)])]) == 3.0


def test_tasks_without_devices_leave_those_workers_free_that_have_some() -> None:
    workers = {"g": ("gpu", Offer(1000, devices(1)), 1), "c": (None, Offer(1000), 1)}
    cluster = VirtualCluster(workers, lambda _: 1.0)
    cluster.play([(0.0, [job("a")]), (0.5, [job("b", gpu=1000)])])
    assert {span.task: span.worker for span in cluster.spans} == {"a": "c", "b": "g"}
    cluster = VirtualCluster(workers, lambda _: 1.0)
    assert cluster.play([(0.0, [job("a"), job("b")])]) == 1.0, "no slot stays idle for that"


# -- nobody starves --------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1e-3, 1.0, 3600.0])
@pytest.mark.parametrize(
    ("large", "small", "offer"),
    [
        ({"gpu": 2000}, {"gpu": 400}, Offer(6000, devices(2))),
        ({"gpu": 1000}, {"gpu": 0, "gpu_memory": 4000}, Offer(6000, devices(2))),
        ({"cpu": 6000}, {}, Offer(6000)),
        ({"memory": 900}, {"memory": 300}, Offer(6000, memory=1000)),
        (
            {"resources": (("license", 3000),)},
            {"resources": (("license", 1000),)},
            Offer(6000, named=(("license", 3000),)),
        ),
        ({"gpu": 300}, {"gpu": 1000}, Offer(6000, devices(1))),
    ],
    ids=["devices", "device memory", "cores", "memory", "named", "small among large"],
)
def test_a_task_in_a_stream_of_others_has_its_turn(large, small, offer, seconds) -> None:
    cluster = VirtualCluster({"w": (None, offer, 6)}, lambda _: seconds, LiveGraph.validate)
    stream = [(i * seconds / 10, [job(f"s{i}", **small)]) for i in range(300)]
    cluster.play([*stream, (2.05 * seconds, [job("it", **large)])])
    spans = sorted(cluster.spans, key=lambda span: span.start)
    (it,) = [span for span in spans if span.task == "it"]
    overtook = [s for s in spans if s.start < it.start and int(s.task[1:] or 0) > 21]
    # Those that run, and what is queued behind them, end before a place is free.
    queued = int(AHEAD / seconds) * 6
    assert len(overtook) <= max(LEAST, EACH * 6) + 6 + queued
    assert len(spans) == 301


def test_while_one_device_is_kept_the_others_are_used() -> None:
    workers = {"w": (None, Offer(9000, devices(2)), 9)}
    cluster = VirtualCluster(workers, lambda job: 10.0 if job.name == "long" else 1.0)
    halves = [(0.1 * i, [job(f"s{i}", gpu=500)]) for i in range(100)]
    longs = [(0.0, [job("long", gpu=500, priority=1)]), (0.5, [job("it", gpu=2000)])]
    cluster.play([*halves, *longs])
    spans = {span.task: span for span in cluster.spans}
    assert spans["it"].start == spans["long"].end == 10.0
    cluster = VirtualCluster(workers, lambda _: 1.0)
    cluster.play([*halves, (0.5, [job("it", gpu=1000)])])
    (it,) = [span for span in cluster.spans if span.task == "it"]
    beside = [span for span in cluster.spans if it.start - 1 < span.start < it.start + 1]
    assert {span.gpus for span in beside} == {("0",), ("1",)}


# -- whatever comes --------------------------------------------------------------------------------

NEEDS = st.fixed_dictionaries(
    {
        "cpu": st.sampled_from([500, 1000, 2000]),
        "gpu": st.sampled_from([0, 0, 100, 333, 500, 1000, 2000]),
        "gpu_memory": st.sampled_from([0, 0, 4000, 9000]),
        "memory": st.sampled_from([0, 0, 300, 999]),
        "resources": st.sampled_from([(), (), (("license", 1000),), (("license", 0),)]),
        "partition": st.sampled_from([None, None, "gpu"]),
        "priority": st.sampled_from([0, 0, 1]),
    }
)


@settings(max_examples=100, deadline=None)
@given(
    asked=st.lists(
        st.tuples(NEEDS, st.floats(0, 3), st.sampled_from([1e-3, 0.1, 1.0])), max_size=30
    )
)
def test_nothing_is_overbooked_all_comes_back_and_no_slot_idles_in_vain(asked) -> None:
    workers = {
        "g": ("gpu", Offer(3000, devices(2), 1000, (("license", 2000),)), 3),
        "h": ("gpu", Offer(2000, devices(1, worker="h"), 1000, (("license", 1000),)), 2),
        "c": (None, Offer(2000, (), 1000), 2),
    }
    lasts: dict[str, float] = {}

    def every(graph: LiveGraph) -> None:
        graph.validate()
        live = graph.live
        kept = [m for m in live.machines.values() if m.kept] + [
            r for r in live.rooms.values() if r.kept
        ]
        for _, (partition, need) in live.ready.classes():
            for lease in live.leases.values():
                machine = lease.machine
                if lease.hands or kept or partition not in (None, machine.partition):
                    continue
                assert not machine.fits(machine.clamped(need)), (need, machine)

    arrivals = []
    for i, (needs, at, seconds) in enumerate(asked):
        lasts[f"t{i}"] = seconds
        arrivals.append((at, [job(f"t{i}", **needs)]))
    cluster = VirtualCluster(workers, lambda job: lasts[job.name], every)
    cluster.play(arrivals)
    able = {
        f"t{i}"
        for i, (needs, _, _) in enumerate(asked)
        if not lacking(
            needs["partition"],
            need_of(Requirements(**needs)),
            [Worker(n, p, o, Amounts()) for n, (p, o, _) in workers.items()],
        )
    }
    assert {span.task for span in cluster.spans} == able
    for machine in cluster.graph.machines.values():
        fresh = Machine(machine.name, machine.partition, machine.offer)
        assert machine.free == fresh.free
    use: dict[str, list[tuple[float, int]]] = {}
    for span in cluster.spans:
        gpu = asked[int(span.task[1:])][0]["gpu"]
        for name in span.gpus:
            key = f"{span.worker}/{name}"
            use.setdefault(key, []).extend(
                [(span.start, min(gpu, 1000)), (span.end, -min(gpu, 1000))]
            )
    for changes in use.values():
        level = 0
        for _, change in sorted(changes):
            level += change
            assert level <= 1000


# -- what people write, and what they are told -----------------------------------------------------


def test_what_people_ask_for_in_integers() -> None:
    asked = requirements(
        gpu=2, gpu_memory="8GiB", resources={"license": 1.5, "avx512": True}, memory="1GB"
    )
    assert need_of(asked) == Amounts(1000, 2000, 8590, 1000, (("avx512", 0), ("license", 1500)))
    assert need_of(asked).devices == 2
    assert Amounts(gpu_memory=1).devices == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpu": 1.5}, "fraction of one device or a whole number"),
        ({"resources": {"gpu": 1}}, "'gpu' is an option of its own"),
        ({"resources": {"a b": 1}}, "can't name a resource"),
        ({"resources": {"license": -1}}, "must be an amount"),
        ({"resources": {"license": False}}, "must be an amount"),
        ({"gpu_memory": "much"}, "not a size"),
    ],
)
def test_what_can_t_be_asked_for(asked, said) -> None:
    with pytest.raises(CaptureError, match=said):
        requirements(**asked)


GPUS = [
    Worker(
        f"w{i}",
        "gpu",
        offer_of({"gpu": 1, "gpu_memory": 8000, "memory": 4000, "license": 1}, f"w{i}"),
        Amounts(),
    )
    for i in range(3)
]
CPUS = [Worker("c", "cpu", Offer(2000, (), 64_000), Amounts())]
FREE = [Worker("f", None, Offer(1000, (), 1000), Amounts())]


@pytest.mark.parametrize(
    ("workers", "asked", "said"),
    [
        (
            GPUS,
            {"partition": "gpu", "gpu": 2000},
            "asks for 2 gpus; the workers of partition 'gpu' have at most 1 each (3 workers)",
        ),
        (CPUS, {"gpu": 500}, "asks for 0.5 gpu; the workers have none (1 worker)"),
        (
            GPUS,
            {"gpu_memory": 9000},
            "asks for 9,000 MB of gpu memory; the workers have at most 8,000 MB each (3 workers)",
        ),
        (
            GPUS,
            {"memory": 5000},
            "asks for 5,000 MB of memory; the workers have at most 4,000 MB each (3 workers)",
        ),
        (
            GPUS,
            {"resources": (("license", 2000),)},
            "asks for 2 license; the workers have at most 1 license each (3 workers)",
        ),
        (GPUS, {"resources": (("tpu", 0),)}, "asks for tpu; the workers have none (3 workers)"),
        (
            GPUS + CPUS,
            {"gpu": 1000, "memory": 5000},
            (
                "asks for 1 gpu and 5,000 MB of memory at once, "
                "which none of the workers has together (4 workers)"
            ),
        ),
        (GPUS + CPUS, {"partition": "tpu"}, "asks for partition 'tpu'; there are 'cpu', 'gpu'"),
        (
            GPUS + CPUS,
            {"partition": "cpu", "gpu": 1000},
            "asks for 1 gpu; the workers of partition 'cpu' have none (1 worker)",
        ),
        (FREE, {"partition": "any"}, ""),
        (FREE, {"cpu": 9000}, ""),
        (GPUS, {"gpu": 1000, "gpu_memory": 8000, "memory": 4000}, ""),
        ([], {"gpu": 9000}, ""),
    ],
)
def test_what_is_missing_is_named(workers, asked, said) -> None:
    needs = Requirements(**asked)
    assert lacking(needs.partition, need_of(needs), workers) == said
