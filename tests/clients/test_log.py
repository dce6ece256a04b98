"""Log lines: JSON with the ids around them where a machine reads, text on a terminal, and never a secret."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog

from lib import log
from lib.config import Secret

KEY = "sk_test_fake_key"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave logging as it was found."""
    before, logger = structlog.get_config(), log.get_logger()
    configured = logger.take(None)
    logger.take(configured)
    yield
    structlog.configure(**before)
    logger.take(configured)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_everything_bound() -> None:
    """Level, time, event and the ids of request and pass stand in each line; nothing stays bound afterwards."""
    stream = io.StringIO()
    log.configure("debug", stream=stream)
    with log.bound(request_id="req_1"):
        with log.bound(pass_id="p_1", subject="cus_1"):
            log.get_logger().info("event_accepted", event_id="evt_1", text="two\nlines")
        log.get_logger().warning("after")
    first, second = lines(stream)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "event_accepted", "level": "info", "request_id": "req_1", "pass_id": "p_1", "subject": "cus_1",
        "event_id": "evt_1", "text": "two lines",
    }  # fmt: skip
    assert (second["request_id"], second["level"], "pass_id" in second) == ("req_1", "warning", False)


BEFORE_SETTINGS = """
from lib.log import get_logger

log = get_logger()
print(log.is_enabled_for(10))
log.debug("unseen")
log.warning("seen")
"""


def test_a_process_whose_settings_are_not_read_logs_the_same() -> None:
    """Until the settings are read, or if they can't be, lines are JSON, too, and those for debugging are left out."""
    done = subprocess.run([sys.executable, "-c", BEFORE_SETTINGS], capture_output=True, text=True, check=True)
    debugs, line = done.stdout.splitlines()
    assert debugs == "False"
    assert json.loads(line)["event"] == "seen"


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_a_floor(level: str, seen: int) -> None:
    """Lines below the level are not written."""
    stream = io.StringIO()
    log.configure(level, stream=stream)
    for method in ("debug", "info", "warning", "error"):
        getattr(log.get_logger(), method)("x")
    assert len(lines(stream)) == seen


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_secret_is_stars_wherever_it_stands(stream: io.StringIO) -> None:
    """A secret handed to a line, alone or inside something, and one that lives beside a crash, is never written."""

    def crash(key: Secret) -> None:
        revealed = key.reveal()
        raise RuntimeError(f"{len(revealed)} letters")

    log.configure("debug", stream=stream)
    secret = Secret(KEY)
    log.get_logger().info("x", plain=secret, listed=[secret], mapped={"key": secret}, pair=(secret, "a"))
    try:
        crash(secret)
    except RuntimeError:
        log.get_logger().exception("crashed")
    assert KEY not in stream.getvalue()
    assert "********" in stream.getvalue()
    assert "16 letters" in stream.getvalue()


def test_an_exception_is_one_line_for_a_machine() -> None:
    """A traceback is a field of its line, so that it can't be mistaken for other lines."""
    stream = io.StringIO()
    log.configure(stream=stream)
    log.get_logger().error("crashed", error="x", exc_info=ValueError("first\nsecond"))
    (line,) = lines(stream)
    assert line["exception"] == "ValueError: first\nsecond"


def test_foreign_text_is_short_and_printable() -> None:
    """Text from outside keeps no control characters and is cut, so that it neither forges nor floods the log."""
    stream = io.StringIO()
    log.configure(stream=stream)
    log.get_logger().info("x", said="a\x1b[31m\r\n\x00" + "b" * 10_000, number=10**30, nothing=None, lone="\ud800")
    (line,) = lines(stream)
    assert line["said"].startswith("a [31m   b")
    assert len(line["said"]) == 500
    assert (line["number"], line["nothing"], line["lone"]) == (10**30, None, " ")


def test_a_terminal_gets_text() -> None:
    """Where a person looks, a line is no JSON but says the same."""
    stream = Terminal()
    log.configure(stream=stream)
    log.get_logger().info("event_accepted", event_id="evt_1")
    assert not stream.getvalue().startswith("{")
    assert "event_accepted" in stream.getvalue()
    assert "evt_1" in stream.getvalue()


def test_each_line_is_one_write_to_the_stdout_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """Vercel makes each write a record of its own and exchanges stdout after import, so both must be respected."""
    log.configure()
    log.get_logger().info("first")
    assert json.loads(capsys.readouterr().out)["event"] == "first"
    log.get_logger().info("second")
    assert json.loads(capsys.readouterr().out)["event"] == "second"


@pytest.fixture
def platform() -> Iterator[io.StringIO]:
    """The standard library's logging as Vercel's runtime sets it up: from INFO on, to the platform."""
    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


async def test_no_library_tells_of_each_call(platform: io.StringIO) -> None:
    """Addresses with whom they are about are no lines of ours, and would fill what the platform keeps of a request."""
    log.configure(stream=io.StringIO())
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("https://panel.example/logins?email=ada@customer.example")
    logging.getLogger("stripe").info("message='Request to Stripe api' url=https://api.stripe.com/v1/customers/cus_1")
    logging.getLogger("some.library").warning("it is full")
    assert platform.getvalue() == "it is full\n"


def test_what_the_connection_pool_says_is_one_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """A database that is away makes the library talk in raw lines; they come as JSON like everything else."""
    stream = io.StringIO()
    log.configure(stream=stream)
    log.configure(stream=stream)
    logging.getLogger("psycopg.pool").warning("discarding closed connection: %s\n\tsorry", "pool-1")
    (line,) = lines(stream)
    assert (line["event"], line["library"], line["level"]) == ("library_said", "psycopg.pool", "warning")
    assert line["said"].startswith("discarding closed connection: pool-1")
    assert capsys.readouterr() == ("", "")
