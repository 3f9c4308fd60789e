"""The notebook magics `%%task` and `%wf`."""
