"""What a lease will read comes while it runs something else."""

from __future__ import annotations

from threading import Event

import pytest

from jupyter_wf.encodings import Encoded, encode
from jupyter_wf.engine.family import InputLostError
from jupyter_wf.engine.hands import Hands
from jupyter_wf.engine.prefetch import Prefetch
from jupyter_wf.engine.signals import Attempt, Finished, Source
from jupyter_wf.engine.testing import PATIENCE, cell
from jupyter_wf.engine.worker import Bench

BIG = encode(b"x" * 100_000)
FAR = Source(BIG.id, BIG.nbytes, ("peer",), False)
ARRIVED = Event()


class Peer:
    """Where values are; `fetched` says which were asked for."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def __call__(self, source: Source) -> Encoded:
        self.fetched.append(source.content)
        if source.content != BIG.id:
            raise InputLostError(source.content)
        ARRIVED.set()
        return BIG


def attempt(serial: int, source: str, inputs: list[Source]) -> Attempt:
    named = [(f"v{i}", str(i) * 40) for i, _ in enumerate(inputs)]
    job = cell(source, name=f"n{serial}", inputs=named, outputs=["y"])
    return Attempt(serial, 1, job, "r", tuple(inputs), "")


def test_an_input_arrives_before_the_task_before_it_has_ended() -> None:
    # The first body ends only when the input of the second is here.
    ARRIVED.clear()
    wait = "import sys\nassert sys.modules[NAME].ARRIVED.wait(60)\ny = 1"
    answers = []
    bench = Bench("w", {}, Peer(), None, lambda *_: None)
    hands = Hands(bench, "l", answers.extend)
    first = attempt(1, wait.replace("NAME", repr(__name__)), [])
    hands.take((first, attempt(2, "y = len(v0)", [FAR])))
    hands.end()
    hands.work()
    assert [type(answer) for answer, _ in answers] == [Finished, Finished]
    assert answers[1][0].loaded == (BIG.id,)
    assert BIG.id in bench.memory


def test_what_is_taken_back_is_dropped_and_nobody_holds_it() -> None:
    bench = Bench("w", {}, peer := Peer(), None, lambda *_: None)
    hands = Hands(bench, "l", lambda _: None)
    hands.take((attempt(1, "y = 1", [FAR]),))
    assert hands.empty() == (1,)
    assert not bench.memory
    assert bench.prefetch.take(FAR) == BIG
    assert peer.fetched.count(BIG.id) in {1, 2}


@pytest.mark.parametrize(
    ("nbytes", "here", "room", "ahead"),
    [
        pytest.param(10**6, {}, 10**9, True, id="large and elsewhere"),
        pytest.param(10, {}, 10**9, False, id="small"),
        pytest.param(10**6, {BIG.id: BIG}, 10**9, False, id="here"),
        pytest.param(10**6, {}, 10, False, id="no room"),
    ],
)
def test_only_what_is_worth_it_is_fetched_ahead(
    nbytes: int, here: dict[str, Encoded], room: int, ahead: bool
) -> None:
    ARRIVED.clear()
    prefetch = Prefetch(here, peer := Peer(), room)
    prefetch.expect([Source(BIG.id, nbytes, ("peer",), False)])
    if ahead:
        assert ARRIVED.wait(PATIENCE)
    else:
        assert not peer.fetched


def test_what_can_not_be_fetched_raises_when_it_is_needed() -> None:
    lost = Source("0" * 40, 10**6, ("peer",), False)
    prefetch = Prefetch({}, Peer())
    prefetch.expect([lost])
    with pytest.raises(InputLostError):
        prefetch.take(lost)


def test_there_is_room_again_for_what_was_taken() -> None:
    prefetch = Prefetch({}, peer := Peer(), BIG.nbytes)
    for _ in range(3):
        prefetch.expect([FAR, FAR])
        assert prefetch.take(FAR) == BIG
    assert len(peer.fetched) == 3
