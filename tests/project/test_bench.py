"""What the measurements themselves rest on: a world that is at rest, and both sides equal at the end."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_burst_changes_what_it_is_to_change_and_nothing_else(tmp_path: Path) -> None:
    """Of twenty customers two are suspended, the others cost a look at the panel; nothing is lost, due or unequal."""
    figures = tmp_path / "burst.json"
    sizes = ["--customers", "20", "--events", "100", "--connections", "4", "--panel-ms", "0", "--processes", "1"]
    command = [sys.executable, "-m", "bench.burst", *sizes, "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert (found["lost"], found["left_due"], found["unequal"]) == (0, 0, 0)
    assert found["passes"] >= 20
    assert found["panel_calls_at_once"] <= found["panel_concurrency"]
    # A look in each pass; the two are switched off and looked at once more.
    assert abs(found["panel_calls_per_pass"] * found["passes"] - (found["passes"] + 4)) <= 1
