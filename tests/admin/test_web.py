"""HTTP in and out: whatever is sent, the answer is a document that says what is wrong."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import web
from lib.config import Secret, Settings
from lib.errors import (
    BridgeError,
    Conflict,
    DatabaseUnavailable,
    Declined,
    Denied,
    OutcomeUnknown,
    Refused,
    SchemaOutdated,
    SettingsError,
    Unavailable,
)
from lib.model.reason import Reason, SettingsFault
from lib.web.guard import Guard, actor, same
from lib.web.page import csv_answer
from lib.web.problem import answer
from lib.web.request import Message, Request, Scope
from lib.web.response import Response
from lib.web.typed import Given, Text

KEYS = (("anna", Secret("key_anna_fake")), ("bob", Secret("key_bob_fake")), ("zoë", Secret("schlüssel")))


def _who(request: Request, _: Callable[[], Settings]) -> str:
    return actor(request, KEYS)


keyed = Guard("admin", _who)


class Echo(Given):
    """A body with a text and a flag."""

    text: Text | None = None
    flag: bool = False


async def whoami(ask: web.Ask[None]) -> Response:
    """Answer the name behind the key."""
    return web.answer({"actor": ask.actor})


async def echo(ask: web.Ask[Echo]) -> Echo:
    """Answer the body."""
    return ask.given


ECHO = web.Verb(echo, body=Echo)


def encodable(text: str) -> bool:
    """Whether a header or a setting could hold it."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def client(guard: Guard = web.public, **verbs: web.Verb | web.Handler) -> httpx.AsyncClient:
    """A client to an app of these verbs."""
    app = web.endpoint(guard=guard, dress=None, **verbs)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bridge.test")


async def fails_with(error: Exception) -> httpx.Response:
    """The answer where a handler raises `error`."""

    async def fail(ask: web.Ask[None]) -> Response:
        raise error

    async with client(GET=fail) as http:
        return await http.get("/x")


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (Declined("invalid_field", "no", field="a"), 422, "invalid_field", {}),
        (Declined("unauthorized", "no"), 401, "unauthorized", {"www-authenticate": "Bearer"}),
        (SettingsError(["A is missing"]), 503, "not_configured", {}),
        (SchemaOutdated("old"), 503, "schema_outdated", {"retry-after": "60"}),
        (Unavailable("away"), 503, "unavailable", {"retry-after": "10"}),
        (OutcomeUnknown("lost"), 503, "unavailable", {"retry-after": "10"}),
        (Denied(SettingsFault.STRIPE_KEY, "no"), 502, "stripe_key", {}),
        (Refused(Reason.STRIPE_REFUSED, "no"), 502, "stripe_refused", {}),
        (Conflict(Reason.PANEL_CONFLICT, "no"), 502, "panel_conflict", {}),
        (ZeroDivisionError("key_anna_fake"), 500, "internal_error", {}),
        (UnicodeEncodeError("ascii", "\ud800", 0, 1, "x"), 500, "internal_error", {}),
    ],
)
async def test_every_error_is_a_problem_document(
    error: Exception, status: int, code: str, headers: dict[str, str]
) -> None:
    """Each kind of error has its status and a stable code; what was unforeseen shows nothing of itself."""
    answer = await fails_with(error)
    document = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "detail"} <= set(document)
    assert document.get("field") == ("a" if status == 422 else None)
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert "key_anna_fake" not in answer.text


async def test_foreign_text_in_a_detail_is_printable() -> None:
    """What the other side said is cut and cleaned before it is repeated, lone surrogates too."""
    answer = await fails_with(Refused(Reason.PANEL_REFUSED, "a\x00\ud800<b>" + "x" * 9000))
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith("a  <b>x")
    assert len(answer.json()["detail"]) == 500


async def some_rows(error: Exception, before: int) -> AsyncIterator[tuple[int]]:
    """Rows of a list, of which those behind the first ones can't be read."""
    for number in range(before):
        yield (number,)
    raise error


@pytest.mark.parametrize(
    ("error", "status"), [(DatabaseUnavailable("it is away"), 503), (Declined("not_found", "no such list"), 404)]
)
async def test_a_list_of_which_nothing_can_be_read_is_told_as_that(error: Exception, status: int) -> None:
    """Whoever asks for a whole list never takes its first line for all of it."""

    async def listed(_: web.Ask[None]) -> Response:
        return csv_answer("list", ["number"], some_rows(error, 0))

    async with client(GET=listed) as http:
        answer = await http.get("/x")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("error", [DatabaseUnavailable("it is away"), ValueError("a fault of ours")])
async def test_a_list_that_ends_in_the_middle_is_logged_and_has_no_end(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was sent stays sent and is not closed as if it were all; the line that says why has the request's id."""

    async def listed(_: web.Ask[None]) -> Response:
        return csv_answer("list", ["number"], some_rows(error, 2))

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def silence() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope: Scope = {
        "type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": [(b"x-request-id", b"abc")],
    }  # fmt: skip
    with nullcontext() if isinstance(error, BridgeError) else pytest.raises(ValueError):
        await web.endpoint(guard=web.public, GET=listed)(scope, silence, send)
    assert [message.get("body") for message in sent] == [None, b"number\r\n0\r\n", b"1\r\n"]
    assert all(message["more_body"] for message in sent[1:])
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["request_id"]) == ("answer_cut_off", "abc")
    assert str(error) in line.get("error", line.get("exception"))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "BREW"])
async def test_another_method_is_405(method: str) -> None:
    """A method that the route does not take is refused with those that it takes, before anything is read."""
    async with client(POST=ECHO) as http:
        answer = await http.request(method, "/x", content=b"x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_head_is_get() -> None:
    """Probes may ask with HEAD wherever GET works."""
    async with client(keyed, GET=whoami) as http:
        assert (await http.head("/x", headers={"Authorization": "Bearer key_bob_fake"})).status_code == 200


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"x-request-id": "abc"}, "abc"),
        ({"x-vercel-id": "fra1::abc", "x-request-id": "other"}, "fra1::abc"),
        ({"x-request-id": "é" * 10}, "?"),
        ({"x-request-id": "a" * 5000}, "a" * 200),
        ({}, ""),
        ({"x-request-id": ""}, ""),
    ],
)
async def test_every_answer_carries_a_request_id(sent: dict[str, str], shown: str) -> None:
    """The caller's id comes back, made harmless; without one there is a fresh one. No answer may be cached."""
    async with client(keyed, GET=whoami) as http:
        headers = {name.encode(): value.encode() for name, value in sent.items()}
        answer = await http.get("/x", headers=headers)
    assert answer.headers["x-request-id"].startswith(shown)
    assert 0 < len(answer.headers["x-request-id"]) <= 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Bearer key_anna_fake", "anna"),
        ("bearer  key_bob_fake ", "bob"),
        ("BEARER key_bob_fake", "bob"),
        ("Bearer schlüssel", "zoë"),
        ("Bearer key_anna_fak", None),
        ("Bearer key_anna_fakes", None),
        ("Bearer KEY_ANNA_FAKE", None),
        ("Bearer anna:key_anna_fake", None),
        ("Bearer key_anna_fake,key_bob_fake", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic key_anna_fake", None),
        ("key_anna_fake", None),
        ("", None),
        ("Bearer \u00e9\u00ff", None),
        ("Bearer ********", None),
    ],
)
async def test_a_bearer_key_names_its_actor(header: str, name: str | None) -> None:
    """The right key gives its name; anything else is 401, also bytes that are no ASCII."""
    async with client(keyed, GET=whoami) as http:
        answer = await http.get("/x", headers={b"Authorization": header.encode()})
    if name is None:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    else:
        assert answer.json() == {"actor": name}


async def test_bytes_of_any_encoding_are_only_a_wrong_key() -> None:
    """A header that is neither ASCII nor UTF-8 is 401 and no crash."""
    async with client(keyed, GET=whoami) as http:
        assert (await http.get("/x", headers={b"Authorization": b"Bearer \xff\xfe\x80"})).status_code == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"1", "invalid_json"),
        (b"null", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"[" * 200_000, "invalid_json"),
        (b"9" * 5000, "invalid_json"),
        (b'{"\\ud800": 1}', "invalid_json"),
        (b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}", "invalid_json"),
        (b'{"text": "a", "text": "b"}', "invalid_field"),
        (b'{"flag": "\\ud800"}', "invalid_field"),
        (b'{"flag": 1e400}', "invalid_field"),
        (b'{"flag": NaN}', "invalid_field"),
        (b'{"text": ""}', "invalid_field"),
        (b'{"text": " "}', "invalid_field"),
        (b'{"text": 1}', "invalid_field"),
        (b'{"text": ["a"]}', "invalid_field"),
        (b'{"text": "a\\u0000"}', "invalid_field"),
        (b'{"text": "\\ud800"}', "invalid_field"),
        (b'{"text": "a\\nb"}', "invalid_field"),
        (b'{"text": "' + b"a" * 256 + b'"}', "invalid_field"),
        (b'{"flag": "true"}', "invalid_field"),
        (b'{"flag": 1}', "invalid_field"),
        (b'{"flag": null}', "invalid_field"),
    ],
    ids=lambda value: repr(value[:30]),
)
async def test_a_body_that_makes_no_sense_is_refused(body: bytes, code: str) -> None:
    """Broken JSON is 400, a field of another kind is 422 and named."""
    async with client(POST=ECHO) as http:
        answer = await http.post("/x", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400 if code == "invalid_json" else 422, code)
    assert ("field" in answer.json()) == (code == "invalid_field")


@pytest.mark.parametrize("body", [b"{}", b'{"text": "a"}'])
async def test_a_packed_body_is_refused_as_that(body: bytes) -> None:
    """Whoever packs what they send learns that, and not that their JSON is wrong."""
    async with client(POST=ECHO) as http:
        packed = await http.post("/x", content=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        plain = await http.post("/x", content=body, headers={"Content-Encoding": "Identity"})
    assert (packed.status_code, packed.json()["code"]) == (400, "packed_body")
    assert "Content-Encoding: gzip" in packed.json()["detail"]
    assert plain.status_code == 200


class Choice(Given):
    """Parameters of an address."""

    text: Text | None = None


async def test_what_is_asked_for_a_thousand_times_is_refused_in_a_few_words() -> None:
    """Whoever sends thousands of names gets a short answer soon: nobody else waits while each is compared with each."""

    async def chosen(ask: web.Ask[Choice]) -> Choice:
        return ask.given

    names = [f"name{number:x}" for number in range(20_000)]
    async with client(GET=web.Verb(chosen, query=Choice), POST=ECHO) as http:
        asked = await http.get("/x?" + "&".join(names[:5000]))
        twice = await http.get("/x?text=a&text=a")
        sent = await http.post("/x", content=json.dumps(dict.fromkeys(names)))
    for told in (asked, twice, sent):
        assert (told.status_code, told.json()["code"]) == (422, "invalid_field")
        assert len(told.content) < 50_000
    assert "5000 parameters" in asked.json()["detail"]
    assert twice.json()["detail"] == "text is given twice"


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b'{"text": null}'])
async def test_an_empty_body_is_an_empty_object(body: bytes) -> None:
    """Nothing, white space and an object without values all mean: nothing was asked for."""
    async with client(POST=ECHO) as http:
        answer = (await http.post("/x", content=body)).json()
    assert (answer["text"], answer["flag"]) == (None, False)


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b" " * web.MAX_BODY, {}, 200),
        (b" " * (web.MAX_BODY + 1), {}, 413),
        (b"", {"content-length": str(web.MAX_BODY + 1)}, 413),
        (b"", {"content-length": "9" * 5000}, 413),
        (b"", {"content-length": "-1"}, 200),
        (b"", {"content-length": "²"}, 200),
        (b"", {"content-length": "x"}, 200),
        (b"{}", {"content-length": "0"}, 200),
    ],
    ids=["limit", "over", "declared", "absurd", "negative", "superscript", "word", "lied"],
)
async def test_a_body_is_bounded(content: bytes, headers: dict[str, str], status: int) -> None:
    """One byte over the limit is 413, declared or not; a length that is no number is not believed."""
    async with client(POST=ECHO) as http:
        answer = await http.post(
            "/x", content=content, headers=[(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
        )
    assert answer.status_code == status


@pytest.mark.parametrize(("count", "status"), [(16, 200), (17, 413)])
async def test_a_body_of_unknown_length_is_bounded(count: int, status: int) -> None:
    """Chunks are counted as they come."""
    async with client(POST=ECHO) as http:
        answer = await http.post("/x", content=pieces(count, web.MAX_BODY // 16))
    assert answer.status_code == status


async def test_a_caller_who_goes_away_is_no_crash() -> None:
    """A request that ends before its body does is answered to nobody, as a client's fault."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "query_string": b""}
    await web.endpoint(guard=web.public, POST=ECHO)(scope, receive, send)
    assert sent[0]["status"] == 400


def test_json_holds_times_in_utc() -> None:
    """Times become ISO 8601 in UTC, at any depth; what JSON does not know becomes text."""
    when = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2)))
    told = answer({1: [when, (None, True, 1.5)], "secret": Secret("a"), "utc": when.astimezone(UTC)})
    assert json.loads(bytes(told.body)) == {
        "1": ["2026-11-21T10:00:00+00:00", [None, True, 1.5]],
        "secret": "********",
        "utc": "2026-11-21T10:00:00+00:00",
    }


@given(st.text().filter(encodable), st.text(min_size=1).filter(encodable))
def test_only_the_same_key_is_the_same(token: str, secret: str) -> None:
    """The comparison is true for equal texts alone, whatever alphabet they are in."""
    assert same(token.encode().decode("latin-1"), Secret(secret)) == (token == secret)
    assert same(secret.encode().decode("latin-1"), Secret(secret))
