"""Tests in a real browser: JupyterLab from this environment, Chromium from the system."""
