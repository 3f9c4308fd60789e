"""Turns on one slot, in a time that is only counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.engine.dask.fair import QUANTUM, FairShare, lease_key

LENGTHS = st.floats(0.05, 2.0)
#: Seconds after which a lease that has yielded waits again.
AGAIN = 0.01


def turns(lengths: dict[str, float], shares: dict[str, float], seconds: float) -> dict[str, float]:
    """Return the slot-seconds of sessions that always have tasks of these lengths."""
    fair = FairShare()
    now = 0.0
    queue = [(session, 0.0) for session in lengths]

    def must_yield(session: str, since: float) -> bool:
        waiting = [lease_key(other, 1) for other, asked in queue if asked <= now]
        return fair.must_yield(session, since, waiting, now)

    while now < seconds:
        session, asked = queue.pop(0)
        now = began = max(now, asked)
        fair.enter(session)
        while not must_yield(session, now - began) and now < seconds:
            now += lengths[session]
            fair.charge(session, lengths[session], shares[session])
        fair.leave(session)
        queue.append((session, now + AGAIN))
    return dict(fair.held)


@given(st.lists(LENGTHS, min_size=2, max_size=4), st.data())
def test_each_session_has_its_share_whatever_its_tasks(
    lengths: list[float], data: st.DataObject
) -> None:
    named = {f"s{i}": length for i, length in enumerate(lengths)}
    shares = {name: data.draw(st.sampled_from([0.5, 1.0, 2.0])) for name in named}
    held = turns(named, shares, 200.0)
    total = sum(held.values())
    slack = 2 * (QUANTUM + 1) * max(shares.values()) + 2 * max(lengths)
    for name, share in shares.items():
        assert abs(held[name] - total * share / sum(shares.values())) <= slack, held
