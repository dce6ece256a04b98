"""The panel's client: what may be called, what is repeated, and what an answer means."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from lib.config import Secret
from lib.enhance_client import EnhanceClient, transport
from lib.enhance_client.answers import RETRY_AFTER_LIMIT, read_answer, retry_after
from lib.enhance_client.transport import ATTEMPTS, Transport
from lib.errors import Conflict, Denied, Incomplete, NotFound, OutcomeUnknown, Refused, Unavailable

BASE = "https://panel.example.com/api"
TOKEN = "token_fake"
ORG = "00000000-0000-4000-8000-000000000001"
CUSTOMER = "00000000-0000-4000-8000-000000000002"
THING = "00000000-0000-4000-8000-000000000003"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GONE = object()
"""Stands for a field that is not there."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between repetitions, which are written down instead of waited for."""
    noted: list[float] = []
    real: Callable[[Any], float] = transport._wait

    def note(state: Any) -> float:
        noted.append(real(state))
        return 0

    monkeypatch.setattr(transport, "_wait", note)
    return noted


@pytest.fixture
def panel(waits: list[float]) -> Iterator[respx.MockRouter]:
    """The panel's side of the wire."""
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        yield router


@pytest.fixture
async def client() -> AsyncIterator[EnhanceClient]:
    """A client of that panel."""
    opened = EnhanceClient(BASE, Secret(TOKEN), ORG)
    yield opened
    await opened.close()


@pytest.fixture
async def wire() -> AsyncIterator[Transport]:
    """The layer below the client."""
    opened = Transport(BASE, Secret(TOKEN))
    yield opened
    await opened.close()


# --- what may be called ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("DELETE", f"/orgs/{CUSTOMER}"),
        ("DELETE", f"/orgs/{CUSTOMER}/websites/{THING}"),
        ("PUT", f"/orgs/{CUSTOMER}"),
        ("POST", "/version"),
        ("GET", f"/orgs/{CUSTOMER}/subscriptions"),
        ("POST", f"/orgs/{CUSTOMER}/members/{THING}/sso"),
        ("GET", "/servers"),
        ("DELETE", f"/orgs/{CUSTOMER}/subscriptions/1/"),
        ("DELETE", f"/orgs/{CUSTOMER}/subscriptions/1?force=true"),
        ("DELETE", f"/orgs/{CUSTOMER}/subscriptions/x"),
        ("DELETE", f"/orgs/{CUSTOMER}/subscriptions/-1"),
        ("GET", f"/orgs/{CUSTOMER}/../{ORG}"),
        ("GET", "/orgs/" + "." * 36),
        ("GET", f"/orgs/{CUSTOMER}\n"),
        ("GET", f"//evil.example/orgs/{CUSTOMER}"),
        ("GET", f"https://evil.example/orgs/{CUSTOMER}"),
        ("get", "/version"),
    ],
)
async def test_nothing_else_is_ever_called(panel: respx.MockRouter, wire: Transport, method: str, route: str) -> None:
    """A route outside the list is a bug of ours and never leaves this process."""
    with pytest.raises(AssertionError, match="not an allowed route"):
        await wire.request(method, route)
    assert panel.calls.call_count == 0


@pytest.mark.parametrize("value", ["true", "false", 1, ""])
async def test_force_is_never_sent(panel: respx.MockRouter, wire: Transport, value: Any) -> None:
    """The parameter that deletes for good is refused whatever its value."""
    with pytest.raises(AssertionError, match="force"):
        await wire.request("DELETE", f"/orgs/{CUSTOMER}/subscriptions/1", query={"force": value})
    assert panel.calls.call_count == 0


# --- what is repeated -----------------------------------------------------------------------------

GET = ("GET", f"/orgs/{CUSTOMER}", None)
PATCH = ("PATCH", f"/orgs/{CUSTOMER}/subscriptions/7", {"isSuspended": True})
POST = ("POST", f"/orgs/{CUSTOMER}/websites", {"domain": "shop.example"})


@pytest.mark.parametrize(
    ("call", "answers", "made", "error"),
    [
        (GET, [500, 502, 200], 3, None),
        (GET, [500, 500, 500, 200], 3, Unavailable),
        (GET, [httpx.ReadTimeout, 200], 2, None),
        (GET, [httpx.RemoteProtocolError, 200], 2, None),
        (GET, [404], 1, Refused),
        (GET, [400], 1, Refused),
        (PATCH, [500, 200], 2, None),
        (PATCH, [httpx.ReadTimeout, 200], 2, None),
        (PATCH, [500, 500, 500, 200], 3, OutcomeUnknown),
        (PATCH, [409], 1, Conflict),
        (POST, [500, 200], 1, OutcomeUnknown),
        (POST, [502, 200], 1, OutcomeUnknown),
        (POST, [503, 200], 1, OutcomeUnknown),
        (POST, [504, 200], 1, OutcomeUnknown),
        (POST, [httpx.ReadTimeout, 200], 1, OutcomeUnknown),
        (POST, [httpx.WriteTimeout, 200], 1, OutcomeUnknown),
        (POST, [httpx.ReadError, 200], 1, OutcomeUnknown),
        (POST, [httpx.WriteError, 200], 1, OutcomeUnknown),
        (POST, [httpx.RemoteProtocolError, 200], 1, OutcomeUnknown),
        (POST, [httpx.ConnectError, 200], 2, None),
        (POST, [httpx.ConnectTimeout, 200], 2, None),
        (POST, [httpx.PoolTimeout, 200], 2, None),
        (POST, [429, 200], 2, None),
        (POST, [429, 429, 429, 200], 3, Unavailable),
        (POST, [409], 1, Conflict),
    ],
    ids=lambda value: str(getattr(value, "__name__", value)) if not isinstance(value, tuple) else value[0],
)
async def test_only_what_is_safe_is_repeated(
    panel: respx.MockRouter, wire: Transport, call: Any, answers: list[Any], made: int, error: type[Exception] | None
) -> None:
    """Reads and settings of a state are tried three times; a creation only where it never left or was declined."""
    method, route, body = call
    effects = [httpx.Response(a, json={}) if isinstance(a, int) else a for a in answers]
    sent = panel.request(method, route).mock(side_effect=effects)
    if error is None:
        assert await wire.request(method, route, body=body) == {}
    else:
        with pytest.raises(error) as raised:
            await wire.request(method, route, body=body)
        assert type(raised.value) is error
    assert sent.call_count == made
    assert made <= ATTEMPTS


@pytest.mark.parametrize(
    ("wish", "waited"), [("2", [2.0]), ("0", [0.5]), ("5", [5.0]), (None, [0.5]), ("nonsense", [0.5])]
)
async def test_a_short_wish_is_waited_for(
    panel: respx.MockRouter, wire: Transport, waits: list[float], wish: str | None, waited: list[float]
) -> None:
    """A Retry-After of a few seconds is honoured within the call."""
    headers = {"Retry-After": wish} if wish else {}
    panel.get(f"/orgs/{CUSTOMER}").mock(
        side_effect=[httpx.Response(429, headers=headers), httpx.Response(200, json={})]
    )
    assert await wire.request("GET", f"/orgs/{CUSTOMER}") == {}
    assert waits == waited


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_wish_goes_back_to_the_queue(panel: respx.MockRouter, wire: Transport, status: int) -> None:
    """A panel that asks for a minute is not asked again before it; the error carries the wish."""
    asked = panel.get(f"/orgs/{CUSTOMER}").mock(return_value=httpx.Response(status, headers={"Retry-After": "60"}))
    with pytest.raises(Unavailable) as raised:
        await wire.request("GET", f"/orgs/{CUSTOMER}")
    assert (raised.value.after, asked.call_count) == (timedelta(seconds=60), 1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60), (" 60 ", 60), ("0", 0), ("99999999999999999999", 3600), ("", None), ("-5", None), ("1.5", None),
        ("²", None), ("soon", None), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None), ("Fri, 1 Jan 1 00:00:00 02400000000000", None),
        ("Sat, 21 Nov 2026 12:01:30 -0000", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    """Both forms are read, never more than an hour; nonsense is no wish."""
    found = retry_after({"retry-after": value}, NOW)
    assert found == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text() | st.from_regex(r"\w{3}, \d{1,2} (Jan|Feb) \d{1,6} \d\d:\d\d:\d\d [+-]?\w{1,25}"))
def test_no_header_can_crash(value: str) -> None:
    """Whatever a panel or a proxy sends as Retry-After, it is a span within the hour or nothing."""
    found = retry_after({"retry-after": value}, NOW)
    assert found is None or timedelta() <= found <= RETRY_AFTER_LIMIT


# --- what an answer means -------------------------------------------------------------------------


def error(code: str | None, detail: str | None = None, message: str | None = None) -> bytes:
    """The panel's error body, with nulls as live panels send them."""
    return json.dumps({"code": code, "detail": detail, "message": message}).encode()


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("status", "body", "get", "post"),
    [
        (404, error("not_found", "org"), NotFound, NotFound),
        (404, b"UUID parsing failed: invalid length", Refused, Refused),
        (404, HTML, Refused, Refused),
        (404, b"", Refused, Refused),
        (404, b'"not_found"', Refused, Refused),
        (404, error(None), Refused, Refused),
        (409, error("already_exists", "login"), Conflict, Conflict),
        (409, b"", Conflict, Conflict),
        (400, error("bad_request", None, "planId"), Refused, Refused),
        (401, error("no_session_token"), Denied, Denied),
        (403, error("unauthorized"), Denied, Denied),
        (403, HTML, Denied, Denied),
        (403, error("unauthorized", "domain"), Refused, Refused),
        (403, error("quota_exceeded", "websites"), Refused, Refused),
        (301, b"", Denied, Denied),
        (302, HTML, Denied, Denied),
        (429, b"", Unavailable, Unavailable),
        (500, error("internal"), Unavailable, OutcomeUnknown),
        (502, HTML, Unavailable, OutcomeUnknown),
        (503, b"", Unavailable, OutcomeUnknown),
        (200, HTML, Unavailable, OutcomeUnknown),
        (200, b'{"id": ', Unavailable, OutcomeUnknown),
        (201, b"\xff\xfe", Unavailable, OutcomeUnknown),
        (200, b"[" * 100_000, Unavailable, OutcomeUnknown),
    ],
)
def test_an_answer_means_one_thing(status: int, body: bytes, get: type[Exception], post: type[Exception]) -> None:
    """A 404 is only believed as JSON `not_found`; what stands before the panel is never one customer's fault."""
    for method, expected in (("GET", get), ("POST", post)):
        with pytest.raises(expected) as raised:
            read_answer(method, "/x", status, {}, body)
        assert type(raised.value) is expected
        assert len(str(raised.value)) <= 500
    if get is NotFound:
        assert raised.value.reason == "panel_not_found"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (HTML, "(a web page: 502 Bad Gateway)"),
        (b"<html><head><title>503 Service\nUnavailable</title></head><body><h1>503</h1></body></html>", "Unavailable)"),
        (b"<style>h1 {color: red}</style><h1>Back &amp; soon</h1>", "(a web page: Back & soon)"),
        (b"UUID parsing failed", "UUID parsing failed"),
    ],
)
def test_of_a_web_page_the_words_are_told(body: bytes, said: str) -> None:
    """What a web server before the panel answers is read by people, without its tags; plain text as it came."""
    with pytest.raises(Unavailable) as raised:
        read_answer("GET", "/x", 503, {}, body)
    assert str(raised.value).endswith(said)
    assert "<" not in str(raised.value)


@given(
    st.sampled_from(["GET", "POST", "PATCH"]), st.integers(200, 599),
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
    | st.fixed_dictionaries({n: st.none() | st.text() | st.integers() for n in ("code", "detail", "message")}).map(
        lambda v: json.dumps(v).encode()
    ),
)  # fmt: skip
def test_every_answer_is_understood_or_refused(method: str, status: int, body: bytes) -> None:
    """No status and body can come out as anything but a value or one of our own errors."""
    try:
        read_answer(method, "/x", status, {}, body)
    except (Unavailable, OutcomeUnknown, Refused):
        assert True
    else:
        assert status < 300


async def test_a_redirect_is_not_followed(panel: respx.MockRouter, wire: Transport) -> None:
    """The token is never carried to another address; the message points to the setting."""
    elsewhere = respx.get("https://elsewhere.example/").mock(return_value=httpx.Response(200, json={}))
    panel.get("/version").mock(return_value=httpx.Response(302, headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(Unavailable, match="ENHANCE_API_URL"):
        await wire.request("GET", "/version")
    assert not elsewhere.called


async def test_the_token_is_sent_and_never_shown(panel: respx.MockRouter, wire: Transport) -> None:
    """Every request carries the bearer; no error's text does."""
    route = panel.get("/version").mock(return_value=httpx.Response(401, json={"code": "no_session_token"}))
    with pytest.raises(Unavailable) as raised:
        await wire.request("GET", "/version")
    assert route.calls[0].request.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in f"{raised.value!r} {raised.value.__cause__!r}"


# --- the calls ------------------------------------------------------------------------------------


def page(rows: list[Any], total: int | None) -> dict[str, Any]:
    """One page of a list."""
    return {"items": rows, "total": total}


def plan(number: int) -> dict[str, Any]:
    """A plan as the panel shows it, its optional fields null."""
    return {"id": number, "name": f"plan {number}", "resources": [{"name": "websites", "total": None, "usage": None}]}


def org(**more: Any) -> dict[str, Any]:
    """An organisation as the panel shows it, its optional fields null."""
    found = {"id": CUSTOMER, "name": "Ada", "status": "active", "subscriptionsCount": 0, "suspendedBy": None}
    return {**found, "ownerEmail": None, "ownerId": None, "ownerLoginId": None, **more}


def hosting(**more: Any) -> dict[str, Any]:
    """A hosting subscription as the panel shows it."""
    found = {"id": 7, "planId": 4, "planName": "plan 4", "friendlyName": "x [sub_1]", "status": "active"}
    return {**found, "suspendedBy": None, "resources": [{"name": "websites", "total": 3, "usage": 1}], **more}


def website(**more: Any) -> dict[str, Any]:
    """A website as the panel shows it."""
    found = {"id": THING, "domain": {"domain": "shop.example"}, "orgId": CUSTOMER, "status": "active"}
    return {**found, "subscriptionId": 7, "planId": 4, "suspendedBy": None, "size": 0, **more}


@pytest.mark.parametrize(
    ("pages", "found", "calls"),
    [
        ([page([], 0)], 0, 1),
        ([page([plan(1)], 1)], 1, 1),
        ([page([plan(1)], None), page([], None)], 1, 2),
        ([page([plan(1), plan(2)], 3), page([plan(3)], 3)], 3, 2),
        ([page([plan(1)], 3), page([plan(2)], 3), page([plan(3)], 3)], 3, 3),
        ([{"items": [plan(1)]}, {"items": []}], 1, 2),
    ],
    ids=["empty", "one", "no total", "two pages", "short pages", "total missing"],
)
async def test_a_list_is_walked_to_its_end(
    panel: respx.MockRouter, client: EnhanceClient, pages: list[Any], found: int, calls: int
) -> None:
    """The next page begins after the rows that came, whatever limit the panel kept to; neither end is trusted alone."""
    listing = panel.get(f"/orgs/{ORG}/plans").mock(side_effect=[httpx.Response(200, json=p) for p in pages])
    assert len(await client.plans()) == found
    assert listing.call_count == calls
    offsets = [int(call.request.url.params["offset"]) for call in listing.calls]
    assert offsets == [sum(len(p["items"]) for p in pages[:n]) for n in range(calls)]


@pytest.mark.parametrize("answer", [
    None, [], "ok", 7, {}, {"items": None, "total": 1}, {"items": {}, "total": 0}, {"items": [], "total": 1},
    {"items": [], "total": "many"}, {"items": ["x"], "total": 1}, {"items": [{}], "total": 1}, {"total": 0},
])  # fmt: skip
async def test_a_list_must_have_its_list(panel: respx.MockRouter, client: EnhanceClient, answer: Any) -> None:
    """What is no list, or shows less than it counts, is never "there is nothing": all would be made again."""
    panel.get(url__regex=r".*/orgs/.*").mock(return_value=httpx.Response(200, text=json.dumps(answer)))
    for read in (
        client.subscriptions(CUSTOMER),
        client.plans(),
        client.orgs_page(0),
        client.websites_page(0),
        client.find_org("[cus_1]", NOW),
        client.website_of("shop.example"),
    ):
        with pytest.raises(Incomplete):
            await read


async def test_a_page_that_comes_again_and_again_is_no_list(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """A panel that shows its first row on every page has not shown the others."""
    again = httpx.Response(200, json=page([hosting()], 3))
    panel.get(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(return_value=again)
    with pytest.raises(Incomplete, match="counts 3 and shows 1"):
        await client.subscriptions(CUSTOMER)


WRONG: list[Any] = [GONE, None, [], True, 1.5, ""]


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(
    ("read", "thing", "field"),
    [
        *(("subscriptions", hosting(), f) for f in ("id", "planId", "planName", "friendlyName", "status", "resources")),
        *(("orgs_page", org(), f) for f in ("id", "name", "status", "subscriptionsCount")),
        *(("org", org(), f) for f in ("id", "name", "status", "subscriptionsCount")),
        *(("websites_page", website(), f) for f in ("id", "domain", "orgId", "status", "size")),
        *(("website", website(), f) for f in ("id", "domain", "orgId", "status", "size")),
        *(("plans", plan(4), f) for f in ("id", "name", "resources")),
        *(("subscription", hosting(), f) for f in ("id", "planId", "status", "resources")),
    ],
)
async def test_what_says_too_little_is_not_read(
    panel: respx.MockRouter, client: EnhanceClient, read: str, thing: dict[str, Any], field: str, value: Any
) -> None:
    """Whichever field that a decision reads is missing or of another kind, the error names it."""
    nothing = {"friendlyName": (None, ""), "name": ("",) if read in ("org", "orgs_page") else (), "resources": ()}
    if (isinstance(value, str) or value is None) and value in nothing.get(field, ()):
        return
    if field == "resources" and value == []:
        return
    said = {name: v for name, v in {**thing, field: value}.items() if v is not GONE}
    single = read in ("org", "website", "subscription")
    panel.get(url__regex=r".*/orgs/.*").mock(return_value=httpx.Response(200, json=said if single else page([said], 1)))
    ask: dict[str, Any] = {
        "subscriptions": lambda: client.subscriptions(CUSTOMER),
        "subscription": lambda: client.subscription(CUSTOMER, 7),
        "orgs_page": lambda: client.orgs_page(0),
        "org": lambda: client.org(CUSTOMER),
        "websites_page": lambda: client.websites_page(0),
        "website": lambda: client.website(CUSTOMER, THING),
        "plans": client.plans,
    }
    with pytest.raises(Incomplete, match=field):
        await ask[read]()


@pytest.mark.parametrize("change", [
    {"suspendedBy": 7}, {"suspendedBy": "somebody"}, {"status": "of_tomorrow"}, {"id": -1}, {"id": 2**40},
    {"resources": [{"name": "websites", "total": 3}]}, {"resources": [{"total": 3, "usage": 1}]},
    {"resources": [{"name": "websites", "total": "3", "usage": 1}]}, {"resources": ["websites"]},
])  # fmt: skip
async def test_what_nobody_knows_how_to_read_is_not_read(
    panel: respx.MockRouter, client: EnhanceClient, change: dict[str, Any]
) -> None:
    """A state of tomorrow, a suspender without a name, a number that no column holds, use that is not said."""
    answer = httpx.Response(200, json=page([hosting(**change)], 1))
    panel.get(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(return_value=answer)
    with pytest.raises(Incomplete):
        await client.subscriptions(CUSTOMER)


async def test_a_retrieve_must_have_the_id_that_was_asked_for(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """Another object, or none, is no answer."""
    answers: list[Any] = [org(id=ORG), website(id=ORG), hosting(id=8), {}, [], None]
    for answer in answers:
        panel.get(url__regex=r".*/orgs/.*").mock(return_value=httpx.Response(200, text=json.dumps(answer)))
        for read in (client.org(CUSTOMER), client.website(CUSTOMER, THING), client.subscription(CUSTOMER, 7)):
            with pytest.raises(Incomplete):
                await read


@pytest.mark.parametrize("answer", [
    None, {}, [], {"items": []}, {"items": None}, {"items": [{"name": "websites", "total": 3}]},
])  # fmt: skip
async def test_a_count_of_nothing_is_no_count(panel: respx.MockRouter, client: EnhanceClient, answer: Any) -> None:
    """What is used is never taken for nothing because the panel did not say it."""
    panel.put(url__regex=r".*/calculate-resource-usage").mock(
        return_value=httpx.Response(200, text="" if answer is None else json.dumps(answer))
    )
    with pytest.raises(Incomplete):
        await client.usage(CUSTOMER, 7)


@pytest.mark.parametrize("answer", [
    None, {}, [], {"status": None}, {"status": "of_tomorrow"}, {"status": "inUseCurrentOrg"},
    {"status": "inUseCurrentOrg", "websiteId": "x"},
])  # fmt: skip
async def test_a_check_says_what_it_found(panel: respx.MockRouter, client: EnhanceClient, answer: Any) -> None:
    """Neither "it is free" nor "somebody else has it" follows from an answer that says neither."""
    panel.post(f"/orgs/{CUSTOMER}/domains/check").mock(return_value=httpx.Response(200, text=json.dumps(answer)))
    with pytest.raises(Incomplete):
        await client.check_domain(CUSTOMER, "shop.example")


async def test_text_of_the_panel_is_cleaned(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """What neither the database nor the panel takes again is taken out of a name."""
    row = hosting(friendlyName="a\x00b \ud800[sub_1]")
    panel.get(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(
        return_value=httpx.Response(200, text=json.dumps(page([row], 1)))
    )
    (found,) = await client.subscriptions(CUSTOMER)
    assert found.friendly_name == "ab \ufffd[sub_1]"


async def test_a_wrong_organisation_of_our_own_is_asked_about_once(
    panel: respx.MockRouter, client: EnhanceClient
) -> None:
    """That ENHANCE_ORG_ID is unknown is a matter of the settings: no customer is gone over it, and one call tells."""
    unknown = httpx.Response(404, json={"code": "not_found", "detail": "org"})
    asked = panel.get(url__regex=r".*/orgs/.*").mock(return_value=unknown)
    made = panel.post(url__regex=r".*/orgs/.*").mock(return_value=unknown)
    for _ in range(3):
        for read in (
            client.subscriptions(CUSTOMER),
            client.plans(),
            client.orgs_page(0),
            client.create_org("Ada"),
            client.create_subscription(CUSTOMER, 4, "x"),
            client.check(),
        ):
            with pytest.raises(Denied) as raised:
                await read
            assert raised.value.reason == "panel_org"
            assert "ENHANCE_ORG_ID" in str(raised.value)
    assert (asked.call_count, made.call_count) == (2, 0)


async def test_ids_of_plans_and_subscriptions_are_numbers(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """The panel refuses integer ids that are sent as text, so every body holds numbers and true booleans."""
    panel.post(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(return_value=httpx.Response(201, json={"id": 7}))
    panel.patch(f"/orgs/{CUSTOMER}/subscriptions/7").mock(return_value=httpx.Response(204))
    panel.post(f"/orgs/{CUSTOMER}/websites").mock(return_value=httpx.Response(201, json={"id": THING}))
    assert await client.create_subscription(CUSTOMER, 4, "Basic (sub_1)") == 7
    await client.change_plan(CUSTOMER, 7, 5)
    await client.suspend(CUSTOMER, 7)
    await client.resume(CUSTOMER, 7)
    assert await client.create_website(CUSTOMER, 7, "shop.example") == THING
    assert [json.loads(call.request.content) for call in panel.calls] == [
        {"planId": 4, "friendlyName": "Basic (sub_1)"},
        {"planId": 5},
        {"isSuspended": True},
        {"isSuspended": False},
        {"domain": "shop.example", "subscriptionId": 7},
    ]


async def test_nulls_are_absent_fields(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """Live panels send null for what is not there: unlimited stays unlimited, and nobody is suspended by null."""
    row = {
        "id": 7, "planId": 4, "planName": "plan 4", "friendlyName": None, "status": "active",
        "suspendedBy": None, "resources": [{"name": "websites", "total": None, "usage": 1}], "unknown": {"to": "us"},
    }  # fmt: skip
    panel.get(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(
        return_value=httpx.Response(200, json=page([row], 1))
    )
    panel.get(f"/orgs/{ORG}/plans").mock(return_value=httpx.Response(200, json=page([plan(4)], 1)))
    domain = {"domain": "shop.example"}
    website = {"id": THING, "domain": domain, "subscriptionId": None, "orgId": CUSTOMER, "status": "active", "size": 0}
    panel.get(f"/orgs/{CUSTOMER}/websites/{THING}").mock(return_value=httpx.Response(200, json=website))
    (found,) = await client.subscriptions(CUSTOMER)
    assert (found.id, found.friendly_name, found.suspended_by) == (7, "", None)
    assert [(r.name, r.total, r.usage) for r in found.resources] == [("websites", None, 1)]
    assert (await client.plans())[0].resources[0].total is None
    assert (await client.website(CUSTOMER, THING)).subscription_id is None


@pytest.mark.parametrize(
    ("reference", "plan_id", "reason"),
    [
        ("plan 4", 4, None),
        ("4", 4, None),
        ("Plan 4", None, "plan_not_found"),
        ("99", None, "plan_not_found"),
        ("twice", None, "plan_ambiguous"),
        ("²", None, "plan_not_found"),
    ],
)
async def test_a_mapping_means_an_id_or_an_exact_name(
    panel: respx.MockRouter, client: EnhanceClient, reference: str, plan_id: int | None, reason: str | None
) -> None:
    """Digits are the id, anything else the exact name; none or two of them is for a person to correct."""
    rows = [plan(4), {**plan(5), "name": "twice"}, {**plan(6), "name": "twice"}]
    panel.get(f"/orgs/{ORG}/plans").mock(return_value=httpx.Response(200, json=page(rows, 3)))
    if plan_id is not None:
        assert (await client.plan(reference)).id == plan_id
    else:
        with pytest.raises(Refused) as raised:
            await client.plan(reference)
        assert raised.value.reason == reason


async def test_a_new_plan_is_found_although_the_list_is_remembered(
    panel: respx.MockRouter, client: EnhanceClient
) -> None:
    """A name that the remembered list lacks is looked up once more; a known one costs no call."""
    listing = panel.get(f"/orgs/{ORG}/plans").mock(
        side_effect=[
            httpx.Response(200, json=page([plan(1)], 1)),
            httpx.Response(200, json=page([plan(1), plan(2)], 2)),
        ]
    )
    assert (await client.plan("plan 1")).id == 1
    assert (await client.plan("plan 1")).id == 1
    assert (await client.plan("plan 2")).id == 2
    assert listing.call_count == 2


@pytest.mark.parametrize("body", ["null", "[]", "{}", '"x"', "7", "", '{"items": null}', '{"items": {}}'])
async def test_a_list_without_a_list_is_no_empty_list(
    panel: respx.MockRouter, client: EnhanceClient, body: str
) -> None:
    """An answer of another shape must never look like 'there is nothing', or everything would be made again."""
    panel.get(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(return_value=httpx.Response(200, text=body))
    with pytest.raises(Unavailable):
        await client.subscriptions(CUSTOMER)


@pytest.mark.parametrize("body", ["null", "[]", "{}", '"x"', "7", "", '{"id": null}'])
async def test_a_creation_without_an_id_has_an_unknown_outcome(
    panel: respx.MockRouter, client: EnhanceClient, body: str
) -> None:
    """The panel said yes and did not say to what: it is looked for before it is made again."""
    panel.post(f"/orgs/{CUSTOMER}/websites").mock(return_value=httpx.Response(201, text=body))
    panel.post(f"/orgs/{ORG}/customers/{CUSTOMER}/subscriptions").mock(return_value=httpx.Response(201, text=body))
    with pytest.raises(OutcomeUnknown):
        await client.create_website(CUSTOMER, 7, "shop.example")
    with pytest.raises(OutcomeUnknown):
        await client.create_subscription(CUSTOMER, 4, "x")
    assert panel.calls.call_count == 2


async def test_the_login_that_exists_is_found(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """A 409 leads to the login with that e-mail, letter case aside, and to nobody else's."""
    panel.post("/logins").mock(return_value=httpx.Response(409, content=error("already_exists", "login")))
    rows = [{"id": ORG, "email": "ada@example.com.evil"}, {"id": THING, "email": "ADA@example.com"}]
    panel.get(f"/v2/orgs/{ORG}/customers/logins").mock(return_value=httpx.Response(200, json=page(rows, 2)))
    assert await client.create_login(CUSTOMER, "ada@example.com", "Ada") == THING


async def test_a_login_that_nobody_lists_is_for_a_person(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """Exists, but in no list that our token may see: parked, not tried for ever."""
    panel.post("/logins").mock(return_value=httpx.Response(409, content=error("already_exists", "login")))
    panel.get(f"/v2/orgs/{ORG}/customers/logins").mock(return_value=httpx.Response(200, json=page([], 0)))
    panel.get("/logins").mock(return_value=httpx.Response(403, content=error("unauthorized")))
    with pytest.raises(Refused) as raised:
        await client.create_login(CUSTOMER, "ada@example.com", "Ada")
    assert raised.value.reason == "login_not_found"


async def test_every_password_is_new_and_strong(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """The password that nobody ever learns satisfies any policy and is never the same."""
    panel.post("/logins").mock(return_value=httpx.Response(201, json={"id": THING}))
    for _ in range(20):
        await client.create_login(CUSTOMER, "ada@example.com", "Ada")
    made = [json.loads(call.request.content)["password"] for call in panel.calls]
    assert len(set(made)) == 20
    for password in made:
        assert len(password) >= 20
        assert all(any(test(c) for c in password) for test in (str.islower, str.isupper, str.isdigit))
        assert not password.isalnum()


async def test_two_organisations_with_one_mark_are_for_a_person(panel: respx.MockRouter, client: EnhanceClient) -> None:
    """The mark must lead to one living organisation; deleted ones and other marks don't count."""
    rows = [
        org(id=ORG, name="Ada [cus_1]", createdAt="2026-11-21T12:00:03Z"),
        org(id=THING, name="Ada [cus_1]", status="deleted", createdAt="2026-11-21T12:00:02Z"),
        org(id=CUSTOMER, name="Ada [cus_11]", createdAt="2026-11-21T12:00:01Z"),
    ]
    listing = panel.get(f"/orgs/{ORG}/customers").mock(return_value=httpx.Response(200, json=page(rows, 3)))
    found = await client.find_org("[cus_1]", NOW)
    assert found is not None
    assert found.id == ORG
    rows[1]["status"] = "active"
    listing.mock(return_value=httpx.Response(200, json=page(rows, 3)))
    with pytest.raises(Refused) as raised:
        await client.find_org("[cus_1]", NOW)
    assert raised.value.reason == "ambiguous_org"


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
async def test_a_search_for_a_mark_ends_early_only_in_a_sorted_list(
    panel: respx.MockRouter, client: EnhanceClient, order: str
) -> None:
    """Newest first, the search ends at what is older than the intent; a panel that does not sort is read to the end."""
    old = org(id=ORG, name="x", createdAt="2020-01-01T00:00:00Z")
    new = org(id=CUSTOMER, name="y", createdAt="2026-11-21T12:00:00Z")
    mine = org(id=THING, name="Ada [cus_1]", createdAt="2026-11-21T12:00:00Z")
    first, second = ([new, old], [mine]) if order == "sorted" else ([{**old, "createdAt": None}, new], [mine])
    listing = panel.get(f"/orgs/{ORG}/customers").mock(
        side_effect=[httpx.Response(200, json=page(first, 3)), httpx.Response(200, json=page(second, 3))]
    )
    found = await client.find_org("[cus_1]", NOW)
    assert (found is not None, listing.call_count) == ((False, 1) if order == "sorted" else (True, 2))
