"""The port as a stranger uses it, in another language, with its OpenRPC document and nothing else."""

import json
import subprocess
from pathlib import Path

import pytest

from protocols.layout import StateFolder
from protocols.port_methods import METHODS
from tests.require import needs, program
from tests.schemas import OPENRPC
from tests.standing_fleet import up

_E2E = Path(__file__).with_name("e2e")
_ELSEWHERE = 8  # methods that need an agent or a terminal, or that other tests try


@pytest.mark.deadline(90)
def test_every_message_that_a_client_in_node_sees_is_as_the_document_says(tmp_path: Path) -> None:
    """A process of Node, a supervisor, and a callboard below it."""
    node = program("node", "install Node.js")
    needs("ws", "make agents", present=(_E2E / "node_modules" / "ws").is_dir())

    with up(tmp_path) as fleet:
        state = StateFolder(tmp_path / ".callboard")
        url = json.loads(state.port_file.read_bytes())["url"]
        token = state.token.read_text().strip()
        done = subprocess.run(
            [node, str(_E2E / "port_client.mjs"), url, token, str(OPENRPC), str(tmp_path)],
            capture_output=True,
            timeout=80,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        fleet.finish(0)
    seen = json.loads(done.stdout)

    assert seen["output"] == "hello\n" and seen["code"] == 1001
    assert seen["gapless"] and seen["pushed"] > 10
    assert seen["notifications"]["events.records"] > 1
    assert len(set(seen["methods"])) >= len(METHODS) - _ELSEWHERE
