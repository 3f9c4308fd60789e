"""Live views of a workflow, made with Panel: in a notebook, or served on their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_wf.widgets.views.overview import Overview
    from jupyter_wf.workflow import Workflow


def view(flow: Workflow) -> Overview:
    """Return a view of the graph, its tasks' states and its workers.

    It shows itself in a notebook; ``panel.serve(lambda: view(flow))`` serves it on its own.

    Parameters
    ----------
    flow : Workflow
    """
    from jupyter_wf.widgets.views.overview import Overview

    return Overview(flow)
