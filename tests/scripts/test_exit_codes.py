"""Scripts end with the exit code that their help promises, one sentence for people, and no traceback."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
ARGUMENTS = {
    "explain": ["cus_1"],
    "sweep": [],
    "adopt": ["--by-email"],
    "collect": ["tests/scripts/statement.csv"],
    "forget": ["cus_1"],
    "migrate": [],
    "split": ["--to", "0/2"],
    "doctor": [],
}
"""Every script over a database whose help names exit codes, with what it needs to begin."""

WITHOUT_DATABASE = {"notice": ["test", "--to", "you@example.com"]}
"""Those that ask for settings, and never for the database."""


def command(script: str) -> list[str]:
    """A script without its launcher."""
    return [
        sys.executable,
        "-c",
        f"from scripts._{script} import main; main()",
        *(ARGUMENTS | WITHOUT_DATABASE)[script],
    ]


def run(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, to its end."""
    return subprocess.run(
        command(script),
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_script_with_exit_codes_is_tried() -> None:
    """A new one is added above."""
    launchers = [path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix]
    saying = {name for name in launchers if "Exit code: 0" in _source(name)}
    # The demo and a storm need no settings, and ctl no database: test_ctl.py has its codes.
    assert saying - {"demo", "chaos", "ctl"} == set(ARGUMENTS | WITHOUT_DATABASE)


def _source(name: str) -> str:
    return (ROOT / "scripts" / f"_{'checks' if name == 'test' else name}.py").read_text()


@pytest.mark.parametrize("script", ARGUMENTS | WITHOUT_DATABASE)
def test_help_says_that_2_is_what_could_not_be_done(script: str) -> None:
    """The promise that the tests below hold it to."""
    said = subprocess.run([*command(script), "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"Exit code: 0 .*, 2 \w+", " ".join(said.split()))


@pytest.mark.parametrize("script", ARGUMENTS | WITHOUT_DATABASE)
def test_missing_settings_are_2(script: str) -> None:
    """Nothing was looked at: that is no answer about the customer, and no warning."""
    ended = run(script)
    assert ended.returncode == 2
    assert "DATABASE_URL" in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_mail_that_no_server_is_set_for_is_2(world: World) -> None:
    """Nothing was sent, and nothing was refused either."""
    ended = run("notice", **world.environ)
    assert ended.returncode == 2
    assert "MAIL_URL and MAIL_FROM are not set" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("script", ARGUMENTS)
@pytest.mark.parametrize(
    ("cause", "said"), [("password", "refuses the user or the password"), ("name", "there is no such database")]
)
def test_a_database_that_can_not_be_reached_is_2_with_its_cause(
    world: World, script: str, cause: str, said: str
) -> None:
    """Which of the many reasons it is stands in the sentence; the password does not."""
    address = world.environ["DATABASE_URL"]
    password = str(urlsplit(address).password)
    broken = address.replace(password, "hidden_word") if cause == "password" else f"{address}_none"
    ended = run(script, **{**world.environ, "DATABASE_URL": broken})
    assert ended.returncode == 2
    assert said in ended.stderr + ended.stdout
    for hidden in ("Traceback", "hidden_word", password):
        assert hidden not in ended.stderr + ended.stdout


@pytest.mark.parametrize("script", ARGUMENTS)
def test_ctrl_c_is_130_without_a_traceback(world: World, script: str) -> None:
    """Interrupted while it waits for an answer, it says what is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        address = f"postgresql://app:fake@127.0.0.1:{silent.getsockname()[1]}/app"
        with subprocess.Popen(
            command(script), cwd=ROOT, env={**os.environ, **world.environ, "DATABASE_URL": address},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            caller, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            caller.close()
    assert process.returncode == 128 + signal.SIGINT, err
    assert "Interrupted. " in err
    assert "Traceback" not in out + err
