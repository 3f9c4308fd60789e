from __future__ import annotations

import numpy as np
import pytest

from jupyter_wf.engine.dask.wire import ALIGNMENT, ASIDE, pack, unpack


@pytest.mark.parametrize("offset", [0, 1, 6, 8, 16])
def test_large_arrays_arrive_aligned_wherever_they_lie_in_a_message(offset: int) -> None:
    sent = np.random.default_rng(offset).standard_normal(ASIDE)
    message = pack({"x": sent})
    (part,) = message["aside"]
    # As a frame among others in one buffer.
    frame = np.empty(sent.nbytes + 2 * ALIGNMENT, np.uint8)
    start = -frame.ctypes.data % ALIGNMENT + offset
    frame[start : start + sent.nbytes] = part.data
    message["aside"] = [frame[start : start + sent.nbytes].data]
    found = unpack(message)["x"]
    assert found.flags.aligned
    assert np.array_equal(found, sent)
    assert found.sum() == sent.sum()


def test_aligned_arrays_are_not_copied() -> None:
    sent = np.zeros(ASIDE)
    message = pack(sent)
    message["aside"] = [part.data for part in message["aside"]]
    assert np.shares_memory(unpack(message), sent)
