"""`POST /api/webhook`: what is signed is stored once and answered 200; what was not stored is asked for again."""

import asyncio
import gzip
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from lib.database import connection
from lib.model import Settled
from lib.subscription_manager.inbox import AT_ONCE
from lib.web.request import Message, Scope
from scripts._functions import functions_app
from scripts._postgres import free_port
from tests.world import World

MIB = 1024 * 1024
STUCK = "wait_event_type = 'Lock'"


def sign(world: World, body: bytes, secrets: Sequence[str] | None = None, at: int | None = None) -> dict[str, str]:
    """The headers of a delivery of exactly these bytes."""
    when = int(time.time()) if at is None else at
    keys = secrets or [world.stripe.webhook_secret]
    macs = [hmac.new(key.encode(), b"%d." % when + body, hashlib.sha256).hexdigest() for key in keys]
    return {"Stripe-Signature": ",".join([f"t={when}", *(f"v1={mac}" for mac in macs)])}


async def post(world: World, client: httpx.AsyncClient, body: bytes | Any, **signing: Any) -> httpx.Response:
    """Deliver a correctly signed body."""
    raw = body if isinstance(body, bytes) else json.dumps(body, indent=2).encode()
    return await client.post("/api/webhook", content=raw, headers=sign(world, raw, **signing))


def event(event_id: str = "evt_1", customer: str = "cus_1", **more: Any) -> dict[str, Any]:
    """A snapshot event that makes a customer due."""
    thing = {"id": "sub_1", "object": "subscription", "customer": customer}
    kind = "customer.subscription.updated"
    found = {"id": event_id, "object": "event", "type": kind, "created": 1_794_000_000, "livemode": False}
    return {**found, "data": {"object": thing}, **more}


def stored(world: World) -> list[dict[str, Any]]:
    """The inbox."""
    return world.sql("SELECT * FROM events ORDER BY received_at, event_id")


@contextmanager
def elsewhere(world: World) -> Iterator[psycopg.Connection]:
    """A connection to another database of the same server, to do things to ours."""
    server, _, _ = world.environ["DATABASE_URL"].rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as opened:
        yield opened


def cut(world: World, where: str = "true") -> int:
    """End the product's connections to the database; how many there were."""
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    return len(world.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours} AND {where}"))  # noqa: S608


@contextmanager
def database_away(world: World) -> Iterator[None]:
    """A time in which nobody can connect."""
    name = psycopg.conninfo.conninfo_to_dict(world.environ["DATABASE_URL"])["dbname"]
    with elsewhere(world) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        cut(world)
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The functions, with passes switched off: what is tested here ends with the answer."""
    async with world.functions(PROVISIONING_MODE="paused") as opened:
        yield opened


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a database that is away after a second."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)


# --- stored, once ---------------------------------------------------------------------------------


async def test_an_event_is_stored_and_its_customer_due(world: World, client: httpx.AsyncClient) -> None:
    """200 means: the event is in the inbox byte for byte, and its customer is in the queue."""
    body = (
        b' {"id": "evt_1",\r\n "object":"event", "type": "invoice.paid", "livemode":false, "created": 1794000000,'
        b' "odd": "Zo\xc3\xab \\u00e9 \\ud83d\\ude00", "data": {"object": {"id": "in_1", "customer": "cus_1"}}}\n'
    )
    answer = await post(world, client, body)
    assert (answer.status_code, answer.json()) == (200, {"received": True, "new": True})
    (row,) = stored(world)
    assert row["body"].encode() == body
    assert (row["event_id"], row["type"], row["outcome"], row["source"]) == (
        "evt_1", "invoice.paid", "accepted", "webhook",
    )  # fmt: skip
    assert (row["object_id"], row["customer_id"], row["livemode"]) == ("in_1", "cus_1", False)
    (due,) = world.due()
    assert (due["kind"], due["key"], due["generation"], due["lease_id"]) == ("customer", "cus_1", 1, None)


async def test_a_repeated_event_changes_nothing(world: World, client: httpx.AsyncClient) -> None:
    """A second delivery is 200 and says so; neither the inbox nor the queue knows of it."""
    await post(world, client, event())
    before = stored(world), world.due()
    answer = await post(world, client, event(pending_webhooks=0))
    assert (answer.status_code, answer.json()) == (200, {"received": True, "new": False})
    assert (stored(world), world.due()) == before


async def test_parallel_deliveries_of_one_event_are_one(world: World, client: httpx.AsyncClient) -> None:
    """Twenty at once are stored once and nudge once."""
    answers = await asyncio.gather(*(post(world, client, event()) for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(answer.json()["new"] for answer in answers) == [False] * 19 + [True]
    assert len(stored(world)) == 1
    assert [due["generation"] for due in world.due()] == [1]


async def test_many_events_of_one_customer_are_one_row_of_the_queue(world: World, client: httpx.AsyncClient) -> None:
    """Every event is kept, and those that come one after another raise the generation of the one row."""
    answers = await asyncio.gather(*(post(world, client, event(f"evt_{n}")) for n in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(stored(world)) == 12
    (together,) = world.due()
    assert (await post(world, client, event("evt_later"))).status_code == 200
    (row,) = world.due()
    assert row["generation"] == together["generation"] + 1


async def test_a_thin_notification_is_an_event(world: World, client: httpx.AsyncClient) -> None:
    """A thin notification is stored and makes due the object it names."""
    snapshot = world.stripe.emit("customer.subscription.updated", {"id": "sub_1", "object": "subscription"})
    answer = await post(world, client, world.stripe.thin(snapshot))
    assert answer.status_code == 200
    assert [(due["kind"], due["key"]) for due in world.due()] == [("subscription", "sub_1")]
    assert stored(world)[0]["outcome"] == "accepted"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"livemode": True}, "not an event of test mode"),
        ({"account": "acct_1"}, "event of a connected account"),
        ({"type": "balance.available"}, None),
        ({"type": "customer.discount.created"}, None),
        ({"type": "a.type.of.tomorrow"}, None),
    ],
)
async def test_what_is_not_for_us_is_stored_as_ignored(
    world: World, client: httpx.AsyncClient, more: dict[str, Any], why: str | None
) -> None:
    """Another mode's or account's event, and a type that means nothing here, is 200, kept, and makes nobody due."""
    assert (await post(world, client, event(**more))).status_code == 200
    (row,) = stored(world)
    assert (row["outcome"], row["error"]) == ("ignored", why)
    assert world.due() == []


# --- signed rubbish -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b'"event"', b"null", b"17", b"{}", b"{", b"", b"\x00", b"\xff\xfe\xfd", b"\xed\xa0\x80",
        b"\xef\xbb\xbf{}",
        b"[" * 200_000, b'{"a":' * 100_000, b"9" * 100_000, b"1e999999",
        b'{"object": "event", "id": "evt_\\ud800", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_\\u0000", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": "' + b"e" * 300 + b'", "type": "x", "data": {"object": {}}}',
        b'{"object": "event", "id": {"a": 1}, "type": ["x"], "data": {"object": {}}}',
        b'{"object": "event", "id": "evt_1", "type": "invoice.paid", "data": {"object": [[]]}}',
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
async def test_signed_rubbish_is_kept_as_unreadable(
    world: World, client: httpx.AsyncClient, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retry could not help, so it is 200, kept once with the reason, logged loudly, and makes nobody due."""
    answers = [await post(world, client, body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    (row,) = stored(world)
    assert (row["type"], row["outcome"]) == ("unreadable", "unreadable")
    assert row["error"]
    assert world.due() == []
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["level"] for line in logged if line["event"] == "event_unreadable"] == ["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created", 10**400),
        ("created", -(10**15)),
        ("created", "2026-11-20T10:00:00+00:00:01.500000"),
        ("created", "9999-12-31T23:59:59-23:59"),
        ("created", [1]),
        ("livemode", "yes"),
        ("api_version", "\u0000"),
        ("request", "\ud800 lone"),
        ("pending_webhooks", 1e308),
        ("previous", [[[[[[[["deep"]]]]]]]]),
        ("text", "x" * 900_000),
        ("id", "évt_ünï"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_odd_fields_are_no_reason_to_lose_an_event(
    world: World, client: httpx.AsyncClient, field: str, value: Any
) -> None:
    """Whatever stands in fields that nobody believes: 200, kept, and the customer is due."""
    body = json.dumps(event(**{field: value})).encode()
    assert (await post(world, client, body)).status_code == 200
    (row,) = stored(world)
    assert row["body"].encode() == body
    assert row["outcome"] == "accepted"
    assert [due["key"] for due in world.due()] == ["cus_1"]


async def test_bytes_that_no_text_column_holds_are_kept_readable(world: World, client: httpx.AsyncClient) -> None:
    """NUL and what is not UTF-8 are kept as escapes: the row can be read and nothing of it is missing."""
    assert (await post(world, client, b"a\x00b\xff\xc3")).status_code == 200
    assert stored(world)[0]["body"] == "a\\x00b\\xff\\xc3"


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1=2"},
        {"Stripe-Signature": "t=é,v1=ü"},
        {"Stripe-Signature": "\u00ff\u00fe"},
        {"Stripe-Signature": "t=" + "9" * 6000 + ",v1=x"},
        {"Stripe-Signature": "," * 9000},
        {"Authorization": "Bearer admin_fake_key"},
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_what_is_not_signed_is_refused(world: World, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Without a good signature it is 400 whatever the body is, and nothing is stored."""
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for body in (json.dumps(event()).encode(), b"", b"\xff", b"["):
        answer = await client.post("/api/webhook", content=body, headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")
    assert stored(world) == world.due() == []


async def test_a_packed_body_is_refused_as_that(world: World, client: httpx.AsyncClient) -> None:
    """Nobody looks for a wrong secret where a proxy packs what Stripe has signed."""
    raw = json.dumps(event()).encode()
    headers = {**sign(world, raw), "Content-Encoding": "gzip"}
    answer = await client.post("/api/webhook", content=gzip.compress(raw), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "packed_body")
    assert stored(world) == []


async def test_a_changed_body_is_refused(world: World, client: httpx.AsyncClient) -> None:
    """One more space breaks the signature, also when the same JSON would be read."""
    body = json.dumps(event()).encode()
    answer = await client.post("/api/webhook", content=body + b" ", headers=sign(world, body))
    assert (answer.status_code, stored(world)) == (400, [])
    assert world.stripe.webhook_secret not in answer.text


@pytest.mark.parametrize(("age", "status"), [(0, 200), (290, 200), (310, 400), (10**9, 400), (-3600, 200)])
async def test_an_old_signature_is_refused(world: World, client: httpx.AsyncClient, age: int, status: int) -> None:
    """A signature is good for five minutes; one from the future is, as in Stripe's library, a matter of clocks."""
    assert (await post(world, client, event(), at=int(time.time()) - age)).status_code == status
    assert len(stored(world)) == (status == 200)


async def test_secrets_are_rolled_without_a_gap(world: World) -> None:
    """While two secrets are set, deliveries signed with either or both are taken; afterwards only the new one is."""
    old, new = "whsec_old_fake", "whsec_new_fake"
    async with world.functions(PROVISIONING_MODE="paused", STRIPE_WEBHOOK_SECRET=f"{new}, {old}") as client:
        for number, secrets in enumerate([[old], [new], [old, new], ["whsec_third_fake", old]]):
            assert (await post(world, client, event(f"evt_{number}"), secrets=secrets)).status_code == 200
        assert (await post(world, client, event("evt_x"), secrets=["whsec_third_fake"])).status_code == 400
    async with world.functions(PROVISIONING_MODE="paused", STRIPE_WEBHOOK_SECRET=new) as client:
        assert (await post(world, client, event("evt_y"), secrets=[old])).status_code == 400
        assert (await post(world, client, event("evt_z"), secrets=[new, old])).status_code == 200
    assert [row["event_id"] for row in stored(world)] == ["evt_0", "evt_1", "evt_2", "evt_3", "evt_z"]


@pytest.mark.parametrize("declared", [True, False], ids=["with length", "without"])
@pytest.mark.parametrize(("size", "status"), [(MIB, 200), (MIB + 1, 413)])
async def test_a_body_over_a_mebibyte_is_refused(
    world: World, client: httpx.AsyncClient, size: int, status: int, declared: bool
) -> None:
    """One byte over is 413 however it is sent, also correctly signed; the last byte within is taken."""
    start = json.dumps(event())[:-1] + ', "text": "'
    body = (start + "x" * (size - len(start) - 2) + '"}').encode()
    assert len(body) == size

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, size, MIB // 8):
            yield body[at : at + MIB // 8]

    content: Any = body if declared else chunks()
    answer = await client.post("/api/webhook", content=content, headers=sign(world, body))
    assert answer.status_code == status
    assert len(stored(world)) == (status == 200)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(world: World, client: httpx.AsyncClient, method: str) -> None:
    """Only POST is taken, signed or not."""
    body = json.dumps(event()).encode()
    answer = await client.request(method, "/api/webhook", content=body, headers=sign(world, body))
    assert (answer.status_code, answer.headers["allow"], stored(world)) == (405, "POST", [])


async def test_a_deployment_without_settings_says_which(world: World) -> None:
    """503, so that Stripe sends again: the answer names every missing setting and shows no value."""
    async with world.functions(STRIPE_SECRET_KEY="", CRON_SECRET="", DATABASE_URL="mysql://app:hunter2@db/x") as client:
        answer = await post(world, client, event())
    assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")
    for name in ("STRIPE_SECRET_KEY", "CRON_SECRET", "DATABASE_URL"):
        assert name in answer.json()["detail"]
    assert "hunter2" not in answer.text


# --- the database is away -------------------------------------------------------------------------


@pytest.mark.usefixtures("_impatient")
async def test_an_event_that_can_not_be_stored_is_asked_for_again(
    world: World, client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the database it is 503, and the same delivery is stored as soon as the database is back."""
    with database_away(world):
        answer = await post(world, client, event())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.post("/api/webhook", content=b"{}")).status_code == 400
    assert (await post(world, client, event())).json() == {"received": True, "new": True}
    assert [row["event_id"] for row in stored(world)] == ["evt_1"]
    assert [due["generation"] for due in world.due()] == [1]
    password = psycopg.conninfo.conninfo_to_dict(world.environ["DATABASE_URL"])["password"]
    assert str(password) not in answer.text + "".join(capfd.readouterr())


@pytest.mark.usefixtures("_impatient")
async def test_a_database_that_never_answers_is_503(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody listens at the address: 503 in time for Stripe, and the password of the address is shown nowhere."""
    address = f"postgresql://app:hunter2fake@127.0.0.1:{free_port()}/app"
    async with world.functions(DATABASE_URL=address) as client:
        answer = await post(world, client, event())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "hunter2fake" not in answer.text + "".join(capfd.readouterr())


@pytest.mark.usefixtures("_impatient")
async def test_a_wrong_database_password_is_503(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """A refused login is 503 and keeps the password to itself."""
    password = str(psycopg.conninfo.conninfo_to_dict(world.environ["DATABASE_URL"])["password"])
    wrong = world.environ["DATABASE_URL"].replace(password, "hunter2fake")
    async with world.functions(DATABASE_URL=wrong) as client:
        answer = await post(world, client, event())
    assert answer.status_code == 503
    assert "hunter2fake" not in answer.text + "".join(capfd.readouterr())


async def test_a_connection_that_died_while_idle_is_replaced(world: World, client: httpx.AsyncClient) -> None:
    """The database slept and ended our idle connections: the next event is stored at the first delivery."""
    assert (await post(world, client, event("evt_1"))).status_code == 200
    assert cut(world) == 2  # the acknowledgement's, and that of the look at the schema after it
    assert (await post(world, client, event("evt_2"))).status_code == 200
    assert len(stored(world)) == 2


async def test_many_connections_that_died_while_idle_are_replaced(world: World, client: httpx.AsyncClient) -> None:
    """After a burst there are several idle connections; when all of them died, the next event is still stored."""
    with psycopg.connect(world.environ["DATABASE_URL"]) as other:
        other.execute("LOCK TABLE events")
        burst = []
        for number in range(AT_ONCE):  # those of one moment would share a statement, and a connection
            burst.append(asyncio.create_task(post(world, client, event(f"evt_{number}"))))
            async with asyncio.timeout(60):
                while await asyncio.to_thread(waiting, world) <= number:
                    pass
    await asyncio.gather(*burst)
    assert cut(world) >= AT_ONCE
    assert (await post(world, client, event("evt_last"))).status_code == 200
    assert len(stored(world)) == AT_ONCE + 1


def waiting(world: World) -> int:
    """How many of the product's connections wait for a lock."""
    return len(world.sql(f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {STUCK}"))  # noqa: S608


async def test_a_database_that_dies_while_storing_loses_nothing(world: World, client: httpx.AsyncClient) -> None:
    """The connection breaks in the middle of the statement: 503, no half of it is kept, and the next delivery is."""
    with psycopg.connect(world.environ["DATABASE_URL"]) as other:
        other.execute("LOCK TABLE events")
        delivery = asyncio.create_task(post(world, client, event()))
        while not delivery.done():
            await asyncio.to_thread(cut, world, STUCK)
    answer = await delivery
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert stored(world) == world.due() == []
    assert (await post(world, client, event())).json()["new"] is True
    assert [due["generation"] for due in world.due()] == [1]


@pytest.mark.usefixtures("_impatient")
async def test_a_database_that_dies_after_the_answer_loses_nothing(world: World) -> None:
    """Once stored, the event is safe: a pass cut short by a dead database is taken up again, nothing made twice."""
    customer = world.customer()
    subscription = world.buy(customer)
    delivery = world.stripe.events_of("customer.subscription.created", subscription)[0]
    with ExitStack() as outage:

        async def go_away(when: str, call: Any) -> None:
            if (when, call.method) == ("after", "POST") and not outage_began:
                outage_began.append(call.path)
                await asyncio.to_thread(outage.enter_context, database_away(world))

        outage_began: list[str] = []
        world.panel.on_call(go_away)
        async with world.functions() as client:
            assert (await world.deliver(client, delivery)).status_code == 200
    assert outage_began
    assert [due["key"] for due in world.due()] == [customer]
    world.hurry()
    assert isinstance((await world.sync(customer)).outcome, Settled)
    assert world.panel.world() == {"orgs": 1, "logins": 1, "members": 1, "subscriptions": 1, "websites": 1}


# --- the schema is missing ------------------------------------------------------------------------


async def test_without_a_schema_nothing_is_taken_and_the_cron_makes_it(world: World) -> None:
    """503 with the reason until the drain cron has migrated; then the same delivery is stored and worked on."""
    world.sql("DROP SCHEMA public CASCADE")
    world.sql("CREATE SCHEMA public")
    async with world.functions() as client:
        refused = await post(world, client, event())
        assert (refused.status_code, refused.json()["code"]) == (503, "schema_outdated")
        assert int(refused.headers["retry-after"]) > 0
        bearer = {"Authorization": f"Bearer {world.environ['CRON_SECRET']}"}
        drains = await asyncio.gather(*(client.get("/api/cron/drain", headers=bearer) for _ in range(3)))
        assert [drain.status_code for drain in drains] == [200, 200, 200]
        assert (await post(world, client, event())).json() == {"received": True, "new": True}
    assert [row["event_id"] for row in stored(world)] == ["evt_1"]


# --- the hot path ---------------------------------------------------------------------------------


def database_log(world: World) -> Path:
    """The log of the database server."""
    return Path(world.sql("SHOW data_directory")[0]["data_directory"]) / "server.log"


async def statements(world: World, since: int) -> list[str]:
    """What the database executed for the product since that place in its log."""
    mark = f"mark_{time.monotonic_ns()}"
    with psycopg.connect(world.environ["DATABASE_URL"], autocommit=True, application_name="mark") as own:
        own.execute(f"SELECT '{mark}'")
    text = ""
    while mark not in text:
        text = (await asyncio.to_thread(database_log(world).read_text))[since:]
    *ran, _ = re.split(r"LOG:  (?:statement|execute [^:]*): ", text)[1:]
    return ran


@pytest.fixture
def _talkative(world: World) -> None:
    """Have the server log every statement of connections that are opened from now on."""
    name = psycopg.conninfo.conninfo_to_dict(world.environ["DATABASE_URL"])["dbname"]
    world.sql(f"ALTER DATABASE \"{name}\" SET log_statement = 'all'")


@pytest.mark.usefixtures("_talkative")
async def test_before_the_answer_there_is_one_statement_and_no_other_call(world: World) -> None:
    """When the answer leaves, the database has run exactly one statement and nobody else was asked; work is next."""
    customer = world.customer()
    world.buy(customer)
    body, headers = world.stripe.signed(world.stripe.events_of("customer.subscription.created")[0])
    at_answer: list[Any] = []
    async with world.functions():
        app = functions_app()
        world.stripe.calls.clear()
        since = len(database_log(world).read_text())

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                at_answer.append((await statements(world, since), len(world.stripe.calls), len(world.panel.calls)))

        scope: Scope = {
            "type": "http", "method": "POST", "path": "/api/webhook", "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        await app(scope, receive, send)
    ((ran, stripe_calls, panel_calls),) = at_answer
    assert len(ran) == 1, ran
    assert "accept_events(" in ran[0]
    assert (stripe_calls, panel_calls) == (0, 0)
    assert world.panel.world()["websites"] == 1


@pytest.mark.usefixtures("_talkative")
async def test_a_refused_delivery_never_reaches_the_database(world: World, client: httpx.AsyncClient) -> None:
    """What is not signed costs no statement and no connection, so that nobody can wear the database out."""
    since = len(database_log(world).read_text())
    for _ in range(5):
        assert (await client.post("/api/webhook", content=b"{}" * 1000)).status_code == 400
    assert await statements(world, since) == []
    assert cut(world, "application_name <> 'mark'") == 0


async def test_trouble_after_the_answer_is_not_stripes(world: World) -> None:
    """With the panel and Stripe away the answer is 200 all the same, and the customer stays due."""
    customer = world.customer()
    world.buy(customer)
    world.panel.down = world.stripe.down = True
    async with world.functions() as client:
        answer = await world.deliver(client, world.stripe.events_of("customer.subscription.created")[0])
    assert answer.status_code == 200
    (due,) = world.due()
    assert (due["key"], due["lease_id"], due["attempts"]) == (customer, None, 1)
    assert due["last_error"]


async def test_lines_carry_the_ids_of_request_event_and_pass(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """From the delivery to the end of its pass, each line leads to the request, the event or the customer."""
    customer = world.customer()
    world.buy(customer)
    event = world.stripe.events_of("customer.subscription.created")[0]
    body, headers = world.stripe.signed(event)
    async with world.functions(LOG_LEVEL="debug") as client:
        await client.post("/api/webhook", content=body, headers={**headers, "X-Request-Id": "request-7"})
    text = capsys.readouterr().out
    lines = {line["event"]: line for line in map(json.loads, text.splitlines())}
    assert {line["request_id"] for line in lines.values()} == {"request-7"}
    assert lines["event_accepted"]["event_id"] == event["id"]
    assert lines["pass_ended"]["customer"] == customer
    assert len(lines["pass_ended"]["pass_id"]) == 36
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "ENHANCE_API_TOKEN", "DATABASE_URL"):
        assert world.environ[name] not in text
