"""Turns on one slot, in a time that is only counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.engine.dask.fair import QUANTUM, FairShare, lease_key

LENGTHS = st.floats(0.05, 2.0)


def turns(lengths: dict[str, float], shares: dict[str, float], seconds: float) -> dict[str, float]:
    """Return the slot-seconds of sessions that always have tasks of these lengths."""
    fair = FairShare()
    held = dict.fromkeys(lengths, 0.0)
    queue = list(lengths)
    number = 0
    while sum(held.values()) < seconds:
        session = queue.pop(0)
        fair.enter(session)
        since = 0.0
        others = [lease_key(other, number) for other in queue]
        while not fair.must_yield(session, since, others) and sum(held.values()) < seconds:
            since += lengths[session]
            held[session] += lengths[session]
            fair.charge(session, lengths[session] / shares[session])
        fair.leave(session)
        queue.append(session)
        number += 1
    return held


@given(st.lists(LENGTHS, min_size=2, max_size=4), st.data())
def test_each_session_has_its_share_whatever_its_tasks(
    lengths: list[float], data: st.DataObject
) -> None:
    named = {f"s{i}": length for i, length in enumerate(lengths)}
    shares = {name: data.draw(st.sampled_from([0.5, 1.0, 2.0])) for name in named}
    seconds = 200.0
    held = turns(named, shares, seconds)
    total = sum(held.values())
    slack = 2 * (QUANTUM + 1) * max(shares.values()) + 2 * max(lengths)
    for name, share in shares.items():
        assert abs(held[name] - total * share / sum(shares.values())) <= slack, held
