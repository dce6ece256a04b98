"""Reports of unforeseen errors: they arrive where `SENTRY_DSN` says, and hold nothing that is nobody's business."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lib import crash_report, log
from lib.config import Settings
from lib.errors import Unavailable
from scripts.sim.server import serve
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent


class Sentry:
    """Takes envelopes as Sentry does, and keeps their text."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        text = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.taken.append(text.decode())
        await Response("{}", media_type="application/json")(scope, receive, send)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in the envelopes."""
        lines = [line for text in self.taken for line in text.splitlines()]
        return [found for line in lines if "exception" in (found := json.loads(line))]


@pytest.fixture
def sentry() -> Iterator[tuple[Sentry, str]]:
    """One that runs, and its DSN."""
    found = Sentry()
    with serve(found) as url:
        yield found, url.replace("http://", "http://key_fake_public@") + "/7"
    log.configure()


def settings(world: World, dsn: str) -> Settings:
    """With secrets of every kind."""
    return Settings.load(
        {
            **world.environ,
            "SENTRY_DSN": dsn,
            "OUTBOX_URL": "https://app.example.com/events",
            "OUTBOX_SECRET": "whsec_ZmFrZS1zZWNyZXQtb2YtYS10ZXN0LW9ubHktMzItYnl0ZXM=",
            "MAIL_URL": "smtp://billing:mail%3Apass_fake@mail.example.com:587",
            "MAIL_FROM": "billing@example.com",
            "ADMIN_API_KEY": "anna:admin_key_fake_of_anna",
        }
    )


def test_an_unforeseen_error_is_reported_without_secrets_and_people(world: World, sentry: tuple[Sentry, str]) -> None:
    """Its type, its place and the log's event arrive; no secret, address, body, variable or machine's name does."""
    taken, dsn = sentry
    ours = settings(world, dsn)
    secret = ours.stripe_secret_key.reveal()
    body = '{"customer": "cus_1", "email": "ada@example.com"}'

    def breaks(password: str) -> None:
        local = f"{password} of {body}"
        raise ValueError(f"{secret} ada@example.com {local} Bearer admin_key_fake_of_anna mail:pass_fake " + "x" * 900)

    log.configure("error", report=crash_report.of(ours))
    try:
        breaks("hunter2_fake")
    except ValueError:
        log.get_logger().exception("pass_crashed", kind="customer", customer="cus_1", body=body)
    (event,) = taken.events
    (error,) = event["exception"]["values"]
    assert error["type"] == "ValueError"
    assert error["stacktrace"]["frames"][-1]["function"] == "breaks"
    assert event["tags"] == {"event": "pass_crashed", "kind": "customer"}
    assert event["release"] == ours.app_version
    said = "".join(taken.taken)
    hidden = [secret, "ada@example.com", "admin_key_fake", "mail:pass_fake", "mail%3Apass_fake", "ZmFrZS1z", "x" * 400]
    assert [word for word in hidden if word in said] == []
    assert not {"request", "user", "extra", "breadcrumbs", "contexts", "modules"} & set(event)
    assert '"vars"' not in said
    assert event["server_name"] == "bridge"


def test_what_was_foreseen_is_not_reported(world: World, sentry: tuple[Sentry, str]) -> None:
    """Only lines that carry an error are: a panel that is away has its own line, and is none."""
    taken, dsn = sentry
    log.configure("error", report=crash_report.of(settings(world, dsn)))
    log.get_logger().error("unavailable", error=str(Unavailable("the panel is away")))
    log.get_logger().warning("sweep_stopped", exc_info=ValueError("no error, but a warning"))
    assert taken.taken == []


def test_an_outage_is_not_made_longer_by_reports(world: World, sentry: tuple[Sentry, str]) -> None:
    """A few a minute; and a receiver that is away, or a DSN that leads nowhere, breaks nothing."""
    taken, dsn = sentry
    log.configure("error", report=crash_report.of(settings(world, dsn)))
    for _ in range(20):
        log.get_logger().error("request_crashed", exc_info=ValueError("again"))
    assert len(taken.events) == crash_report.MOST
    log.configure("error", report=crash_report.of(settings(world, "http://key_fake@127.0.0.1:9/7")))
    log.get_logger().error("request_crashed", exc_info=ValueError("to nobody"))


async def test_a_request_that_crashes_is_reported(
    world: World, sentry: tuple[Sentry, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller reads 500 and the request's id, which the report carries, too."""
    taken, dsn = sentry
    monkeypatch.setattr("lib.operators.health.check", lambda _: 1 / 0)
    async with world.functions(SENTRY_DSN=dsn) as client:
        answer = await client.get("/api/health", headers={"X-Request-Id": "req-1"})
    assert answer.status_code == 500
    (event,) = taken.events
    assert event["exception"]["values"][0]["type"] == "ZeroDivisionError"
    assert (event["tags"]["request_id"], event["tags"]["path"]) == ("req-1", "/api/health")


def test_its_package_is_loaded_by_the_first_error(world: World) -> None:
    """A cold start costs the same with `SENTRY_DSN` and without."""
    program = (
        "import os, sys; from lib.config import Settings; from lib import crash_report, log\n"
        "log.configure('info', report=crash_report.of(Settings.load(os.environ)))\n"
        "log.get_logger().info('fine'); print('sentry_sdk' in sys.modules)"
    )
    environ = {**world.environ, "SENTRY_DSN": "http://key_fake@127.0.0.1:9/7"}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "False"
