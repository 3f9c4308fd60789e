"""What every engine must do, as a suite of tests to subclass.

Examples
--------
A new engine is checked by::

    class TestMine(EngineTests):
        @pytest.fixture
        def engine(self):
            engine = MyEngine()
            yield engine
            engine.close()

and, where its machines can't open a store in the memory of this process, a fixture ``store``. An
engine whose workers are processes is checked by ``class TestMine(ProcessTests, EngineTests)``.
"""

from jupyter_wf.engine.testing.jobs import Watch, call, cell, out
from jupyter_wf.engine.testing.processes import ProcessTests
from jupyter_wf.engine.testing.suite import EngineTests
from jupyter_wf.engine.testing.virtual import Span, VirtualCluster
from jupyter_wf.engine.testing.waiting import PATIENCE, wait_for_file, wait_until

__all__ = [
    "PATIENCE",
    "EngineTests",
    "ProcessTests",
    "Span",
    "VirtualCluster",
    "Watch",
    "call",
    "cell",
    "out",
    "wait_for_file",
    "wait_until",
]
