from __future__ import annotations

import pytest

from jupyter_wf.closure import function_code
from jupyter_wf.errors import CaptureError, FingerprintError
from tests.closure.cells import notebook


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import socket\nv = socket.socket()", ["'v'", "socket.socket"]),
        ("import threading\nv = threading.Lock()", ["'v'", "lock"]),
        ("v = (i for i in [1])", ["'v'", "generator"]),
        ("import os\nv = open(os.devnull)", ["'v'", "TextIOWrapper"]),
        ("import threading\nv = {'k': [threading.Lock()]}", ["v['k'][0]", "lock"]),
        ("import threading\nclass A: pass\nv = A()\nv.lock = threading.Lock()", ["v.lock"]),
        ("v = []\nv.append(v)", ["'v", "itself"]),
        ("import types\nv = types.ModuleType('made')", ["'v'", "module without a file"]),
        ("exec('def v(): pass')", ["'v'", "source"]),
        ("import psutil\nv = psutil.Process()", ["'v'", "psutil.Process"]),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_has_no_identity_is_refused_by_name(source: str, words: list[str]) -> None:
    space = notebook(f"{source}\ndef helper():\n    return v\ndef task():\n    return helper()")
    with pytest.raises(FingerprintError) as caught:
        function_code(space["task"])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "exec" in source or "helper" in message, message
    close = getattr(space["v"], "close", None)
    if close:
        close()


def test_data_of_the_workflow_must_be_an_argument() -> None:
    handle = type("DataHandle", (), {"__module__": "jupyter_wf.handle"})()
    space = notebook("def task():\n    return X")
    space["X"] = handle
    with pytest.raises(FingerprintError, match=r"'X'.*argument"):
        function_code(space["task"])


def test_what_can_not_be_pickled_is_refused_by_name() -> None:
    space = notebook(
        """
        class Stubborn:
            def __reduce_ex__(self, protocol):
                if protocol > 2:
                    raise TypeError("not this one")
                return (Stubborn, ())
        v = Stubborn()
        def helper():
            return v
        def task():
            return helper()
        """
    )
    with pytest.raises(CaptureError, match=r"Function 'helper' uses 'v', a Stubborn.*not this one"):
        function_code(space["task"])
