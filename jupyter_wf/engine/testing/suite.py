"""The suite itself: a test for each promise that an engine makes."""

from __future__ import annotations

from jupyter_wf.engine.testing.adding import AddingTests
from jupyter_wf.engine.testing.keeping import KeepingTests
from jupyter_wf.engine.testing.placing import PlacingTests
from jupyter_wf.engine.testing.running import RunningTests
from jupyter_wf.engine.testing.stopping import StoppingTests


class EngineTests(RunningTests, StoppingTests, KeepingTests, AddingTests, PlacingTests):
    """Subclass it and give it a fixture ``engine``."""
