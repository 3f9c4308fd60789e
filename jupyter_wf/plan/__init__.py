"""A graph held against what is stored: for every task whether it must run, and why."""

from __future__ import annotations

from jupyter_wf.plan.make import make_plan
from jupyter_wf.plan.steps import Action, Plan, Step
from jupyter_wf.plan.why import differences

__all__ = ["Action", "Plan", "Step", "differences", "make_plan"]
