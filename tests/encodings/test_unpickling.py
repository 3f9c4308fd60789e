from __future__ import annotations

import pickle

import numpy as np
import pytest

from jupyter_wf.encodings import unpickle, unpickling


def test_what_numpy_2_pickled_is_looked_for_where_numpy_1_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pickle.dumps(np.arange(3), protocol=5)
    assert (unpickle(data) == [0, 1, 2]).all()
    monkeypatch.setattr(unpickling, "_numpy_core", lambda: "numpy.before")
    with pytest.raises(ModuleNotFoundError, match=r"numpy\.before"):
        unpickle(data)
