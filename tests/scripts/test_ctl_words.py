"""`./scripts/ctl` without a deployment: what it refuses, how it explains itself, and how it shows things."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scripts._ctl import cli
from scripts.ctl_commands import connection, overview, show
from scripts.sim.server import serve
from tests.scripts.shell import Ctl, typist

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-c", "from scripts._ctl import main; main()"]


@pytest.fixture
def ctl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Type a command, to a deployment that is not there."""
    monkeypatch.setenv("CTL_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CTL_KEY", "fake_key")
    return typist(capsys)


def test_a_deployment_that_is_away_is_3(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused connections, and an address where something else answers."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CTL_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        ended = ctl("work")
    assert (ended.code, ended.out) == (3, "")
    assert "can't be reached" in ended.err


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, '{"status": 503, "code": "unavailable", "detail": "Stripe is away"}', "Stripe is away"),
        (502, "<html>", "is away just now"),
        (200, "<html>", "answers no API: is the address right?"),
        (404, "<html>", "answers no API: is the address right?"),
    ],
)
def test_what_is_no_answer_is_3(ctl: Ctl, monkeypatch: pytest.MonkeyPatch, status: int, body: str, said: str) -> None:
    """A side that is away, and something else at that address: nothing is known, and it is no refusal."""

    async def answer(_: Request) -> Response:
        return Response(body, status)

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        monkeypatch.setenv("CTL_URL", url)
        ended = ctl("work")
    assert (ended.code, ended.out) == (3, "")
    assert said in ended.err


CHOICES = [
    ("work", "state", "/api/admin/work", "state", {"all"}),
    *((act, "state", "/api/admin/work", "state", set()) for act in ("retry", "release", "hold", "lift", "grace")),
    ("customers find", "state", "/api/admin/customers", "state", set()),
    ("customers find", "hold", "/api/admin/customers", "hold", set()),
    ("events list", "outcome", "/api/admin/events", "outcome", set()),
    ("events list", "source", "/api/admin/events", "source", set()),
]


@pytest.mark.parametrize(("command", "option", "route", "parameter", "more"), CHOICES)
def test_a_choice_is_that_of_the_route(command: str, option: str, route: str, parameter: str, more: set[str]) -> None:
    """What a list can be asked for by its route can be asked for here, and nothing that it would refuse."""
    document = json.loads((ROOT / "public" / "openapi.json").read_text())
    (schema,) = [each["schema"] for each in document["paths"][route]["get"]["parameters"] if each["name"] == parameter]
    found: click.Command = cli
    for word in command.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    (chosen,) = [each.type for each in found.params if each.name == option]
    assert isinstance(chosen, click.Choice)
    assert set(chosen.choices) - more == set(schema["enum"])


def test_a_moment_without_an_answer_ends_no_following(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who follows the ledger goes on after it, and sees each line once; a refusal still ends it."""
    monkeypatch.setattr(connection, "PAUSE", 0.0)
    monkeypatch.setattr(overview, "EVERY", 0.0)
    line = {
        "at": "2026-11-28T04:00:00+00:00",
        "actor": "anna",
        "customerId": "cus_1",
        "service": None,
        "state": "noted",
    }
    lines = [{**line, "id": number, "kind": f"kind{number}", "rule": None, "error": None} for number in (1, 2, 3)]
    answers = iter(
        [
            ({"data": lines[:1], "nextCursor": None}, 200),
            (None, 503),
            ({"data": lines[:2], "nextCursor": "1"}, 200),
            (None, 502),
            ({"data": lines[1:], "nextCursor": "1"}, 200),
            ({"status": 401, "code": "unauthorized", "detail": "the key is no more"}, 401),
        ]
    )

    async def answer(_: Request) -> Response:
        body, status = next(answers)
        return JSONResponse(body, status)

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        monkeypatch.setenv("CTL_URL", url)
        ended = ctl("tail")
    assert [said.split()[3] for said in ended.out.splitlines()] == ["kind1", "kind2", "kind3"]
    assert (ended.code, ended.err) == (1, "the key is no more\n")


@pytest.mark.parametrize("words", [("collect", "9.00"), ("refund",)])
def test_money_without_an_answer_is_asked_for_again_under_its_key(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """The failure prints the key that the act went out with, and a run with it sends the same one."""
    order = {"id": "8f14e45f-ceea-467f-a8d4-1f8ddd2ad6c1", "currency": "eur", "exponent": 2, "missing": 900}
    order |= {"customerId": "cus_1", "email": "ada@example.com"}
    keys = []

    async def answer(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(order)
        keys.append(request.headers["idempotency-key"])
        return Response("<html>", 504)

    with serve(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])) as url:
        monkeypatch.setenv("CTL_URL", url)
        command = [words[0], str(order["id"]), *words[1:], "--yes"]
        ended = ctl(*command)
        printed = re.findall(r"again with --key (\S+):", ended.err)
        ctl(*command, "--key", printed[0])
    assert (ended.code, ended.out) == (3, "")
    assert keys == printed * 2


def test_ctrl_c_while_it_waits_says_so() -> None:
    """No traceback, and what was asked for may be under way."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [*COMMAND, "status"], cwd=ROOT, env={**os.environ, "CTL_URL": url, "CTL_KEY": "fake"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        signal.signal(signal.SIGINT, before)
        with process:
            caller, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            caller.close()
    assert (process.returncode, out) == (128 + signal.SIGINT, "")
    assert err.strip() == "Interrupted. What was asked for by then may be under way."


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("http://bridge.example", "k", "would send the key in the clear: write https://"),
        ("bridge.example", "k", "is no address of a deployment"),
        ("https://me:secret@bridge.example", "k", "holds a password"),
        ("https://bridge.example", "two words", "blanks or other characters"),
        ("https://bridge.example", "", "CTL_URL and CTL_KEY go together"),
        ("", "", "Which deployment?"),
    ],
)
def test_settings_that_can_not_be_used_are_2(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, key: str, said: str
) -> None:
    """Nothing is asked, and the sentence says what to change."""
    monkeypatch.setenv("CTL_URL", url)
    monkeypatch.setenv("CTL_KEY", key)
    monkeypatch.setenv("CTL_CONFIG", str(tmp_path / "none.toml"))
    ended = ctl("status")
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "secret" not in ended.err.replace(said, "")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["hold"],
        ["retry", "--all", "ada"],
        ["retry", "ada", "--state", "parked"],
        ["upcoming", "--days", "0"],
    ],
)
def test_a_command_line_that_can_not_be_read_is_2(ctl: Ctl, words: list[str]) -> None:
    """With what is wrong, and nothing done."""
    ended = ctl(*words)
    assert ended.code == 2
    assert ended.err


def test_nothing_from_outside_moves_the_cursor() -> None:
    """A name with control characters is shown without them."""
    assert show.clean("Ada\x1b[2J\r\x07 Example\n") == "Ada [2J   Example\n"


@pytest.mark.parametrize(
    ("amount", "exponent", "said"), [(1900, 2, "19.00 EUR"), (1900, 0, "1900 EUR"), (1905, 3, "1.905 EUR")]
)
def test_amounts_go_by_the_exponent(amount: int, exponent: int, said: str) -> None:
    """Which the deployment sends; without one the amount says that it is in minor units."""
    assert show.money(amount, {"currency": "eur", "exponent": exponent}) == said
    assert show.money(amount, {"currency": "eur"}) == f"{amount} minor units EUR"


# --- help and docs ----------------------------------------------------------------------------------------------------


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that can be typed, with its words."""
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, f"{path}{name} ")
        else:
            yield f"{path}{name}", one


def test_every_command_explains_itself(ctl: Ctl) -> None:
    """With an example that is a command, and `--json` wherever there is an answer."""
    known = dict(commands(cli))
    for name, command in known.items():
        ended = ctl(*name.split(), "--help")
        assert ended.code == 0
        examples = re.findall(r"\./scripts/ctl (.+)", ended.out)
        assert examples, name
        assert all(example.startswith(name) for example in examples), name
        if name != "completion":
            assert "--json" in {option for param in command.params for option in param.opts}, name


def test_the_docs_and_the_commands_are_the_same(ctl: Ctl) -> None:
    """Each command that docs name exists and takes these options; each that exists is in docs/ctl.md."""
    known = dict(commands(cli))
    seen = set()
    for page in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"):
        for line in re.findall(
            r"(?:\./scripts/|\$ |^|`)ctl ((?:--profile |[a-z]+ ?)[^`\n#|]*)", page.read_text(), re.MULTILINE
        ):
            words = line.split()
            words = words[2:] if words[0] == "--profile" else words
            name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), None)
            assert name is not None or words[0] in cli.commands, f"{page.name}: ctl {line}"
            if name is None:
                continue
            if page.name == "ctl.md":
                seen.add(name)
            options = {option for param in known[name].params for option in (*param.opts, *param.secondary_opts)}
            used = {word.split("=")[0] for word in words if word.startswith("--")}
            assert used <= options | {"--help"}, f"{page.name}: ctl {line}"
    assert seen == set(known)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_it(ctl: Ctl, shell: str) -> None:
    """What is printed names the variable that the program answers to, and it does."""
    ended = ctl("completion", shell)
    assert ended.code == 0
    assert "_CTL_COMPLETE" in ended.out
    asked = {**os.environ, "_CTL_COMPLETE": "bash_complete", "COMP_WORDS": "ctl cust", "COMP_CWORD": "1"}
    said = subprocess.run(COMMAND, cwd=ROOT, env=asked, capture_output=True, text=True, check=False).stdout
    assert {"plain,customer", "plain,customers"} <= set(said.split())
