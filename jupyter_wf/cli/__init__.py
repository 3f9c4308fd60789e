"""The command line: ``jupyter wf``."""

from jupyter_wf.cli.main import main as main
