from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import jupyter_wf.widgets
from jupyter_wf.formats.looks import LOOKS

SCHEMA = json.loads((Path(jupyter_wf.widgets.__file__).parent / "protocol.json").read_text("utf-8"))


def validate(kind: str, message: Any) -> None:
    """Check a message, as the page would get it, against `protocol.json`."""
    sent = json.loads(json.dumps(message, allow_nan=False))
    jsonschema.validate(sent, {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_knows_the_states_that_have_a_look():
    assert SCHEMA["$defs"]["state"]["enum"] == list(LOOKS)


def test_it_refuses_what_is_not_in_it():
    with pytest.raises(jsonschema.ValidationError):
        validate("from_card", {"type": "explode"})
    with pytest.raises(jsonschema.ValidationError):
        validate("facts", {"task": "a", "state": "running", "html": "<b>"})


@pytest.mark.parametrize(("kind", "script"), [("from_card", "card.js"), ("from_host", "host.js")])
def test_the_page_sends_nothing_else(kind, script):
    text = (Path(jupyter_wf.widgets.__file__).parent / "static" / script).read_text("utf-8")
    known = json.dumps(SCHEMA["$defs"][kind])
    sent = {part.split('"')[0] for part in text.split('{ type: "')[1:]} - {"text/javascript"}
    assert sent
    assert all(f'"{name}"' in known for name in sent)


def test_the_page_never_reads_text_as_html():
    static = Path(jupyter_wf.widgets.__file__).parent / "static"
    for script in static.glob("*.js"):
        for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert risky not in script.read_text("utf-8"), f"{risky} in {script.name}"
