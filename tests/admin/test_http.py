"""Requests and answers over bare ASGI, compared with what Starlette makes of the same."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette import requests, responses

from lib.web.request import Message, Request, Scope
from lib.web.response import Response, Streamed, see_other

HEADERS = st.lists(
    st.tuples(st.sampled_from([b"accept", b"x-forwarded-for", b"authorization"]), st.binary(max_size=8)), max_size=5
)


def scope(headers: list[tuple[bytes, bytes]], query: bytes = b"") -> Scope:
    """A GET by somebody at 192.0.2.1."""
    return {
        "type": "http", "method": "GET", "path": "/x", "headers": headers, "query_string": query,
        "client": ("192.0.2.1", 4711),
    }  # fmt: skip


async def nothing_more() -> Message:
    """The body was empty, and the caller waits."""
    await asyncio.Event().wait()
    raise AssertionError


async def sent_by(answer: Any, receive: Any = nothing_more) -> list[Message]:
    """What an answer sends."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await answer(scope([]), receive, send)
    return sent


@given(HEADERS, st.binary(max_size=30))
def test_a_request_is_read_as_starlette_reads_it(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Header fields in any case, several of one name, and parameters that are given twice or are no text."""
    ours, theirs = Request(scope(headers, query), nothing_more), requests.Request(scope(headers, query))
    for name in ("Accept", "X-Forwarded-For", "authorization", "absent"):
        assert ours.headers.get(name) == theirs.headers.get(name)
        assert ours.headers.all(name) == theirs.headers.getlist(name)
        assert (name in ours.headers) == (name in theirs.headers)
    assert ours.query == theirs.query_params.multi_items()
    assert theirs.client is not None
    assert (ours.method, ours.path, ours.client) == (theirs.method, "/x", theirs.client.host)


def test_a_server_may_not_tell_who_is_connected() -> None:
    """As behind a Unix socket."""
    assert Request({**scope([]), "client": None}, nothing_more).client == ""


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Response(b"{}", media_type="application/json"), responses.Response(b"{}", media_type="application/json")),
        (Response("ü", 404, {"Allow": "GET"}, "text/plain"), responses.PlainTextResponse("ü", 404, {"Allow": "GET"})),
        (Response("<p>", media_type="text/html"), responses.HTMLResponse("<p>")),
        (Response(status_code=204), responses.Response(status_code=204)),
        (see_other("/a b?c=ü&d=%20#e"), responses.RedirectResponse("/a b?c=ü&d=%20#e", 303)),
    ],
    ids=["json", "text", "page", "nothing", "elsewhere"],
)
async def test_an_answer_is_sent_as_starlette_sends_it(ours: Response, theirs: responses.Response) -> None:
    """The same status, header fields and body."""
    mine, other = await sent_by(ours), await sent_by(theirs)
    for message in (mine[0], other[0]):
        message["headers"] = sorted(message["headers"])
    assert mine == other


async def test_a_header_field_is_replaced_whatever_its_case() -> None:
    """An answer has one of each name that is set."""
    answer = Response(headers={"vary": "Accept"})
    answer.headers["Vary"] = "Origin"
    assert answer.raw_headers.count((b"vary", b"Origin")) == 1
    assert answer.headers["VARY"] == "Origin"
    del answer.headers["vary"]
    assert [*answer.headers] == ["content-length"]
    assert "vary" not in answer.headers
    with pytest.raises(KeyError):
        del answer.headers["vary"]


async def test_work_begins_when_the_answer_is_sent() -> None:
    """Whoever waits for the answer does not wait for what comes after it."""
    order: list[str] = []

    async def work() -> None:
        order.append("work")

    async def send(message: Message) -> None:
        order.append(message["type"])

    await Response(b"{}", background=work)(scope([]), nothing_more, send)
    assert order == ["http.response.start", "http.response.body", "work"]


async def test_an_answer_that_is_given_again_takes_nothing_of_the_last_one_along() -> None:
    """Its header fields and its work are its own, and it says the same."""
    once, work = Response(b"{}", media_type="application/json"), asyncio.Event()

    async def done() -> None:
        work.set()

    first, second = once.again(done), once.again()
    first.raw_headers.append((b"x-request-id", b"first"))
    assert await sent_by(second) == await sent_by(once)
    assert not work.is_set()
    assert (await sent_by(first))[0]["headers"][-1] == (b"x-request-id", b"first")
    assert work.is_set()


async def parts(made: list[str]) -> AsyncGenerator[str, None]:
    """Three parts of a list; `made` tells which were made, and that it was closed."""
    try:
        for part in ("one", "two", "three"):
            made.append(part)
            yield part
            await asyncio.sleep(0)
    finally:
        made.append("closed")


async def test_a_list_is_sent_while_it_is_made() -> None:
    """In parts, with an end, and without a length that nobody knows yet."""
    made: list[str] = []
    head, *rest = await sent_by(Streamed(parts(made), {"Content-Disposition": "attachment"}, "text/csv"))
    assert head["headers"] == [
        (b"content-disposition", b"attachment"),
        (b"content-type", b"text/csv; charset=utf-8"),
    ]
    assert [(part["body"], part["more_body"]) for part in rest] == [
        (b"one", True), (b"two", True), (b"three", True), (b"", False),
    ]  # fmt: skip
    assert made[-1] == "closed"


async def test_a_list_that_nobody_reads_any_more_is_made_no_further() -> None:
    """Whoever goes away in the middle costs no more pages of the database."""
    made: list[str] = []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    sent = await sent_by(Streamed(parts(made), {}, "text/csv"), gone)
    assert made == ["one", "two", "closed"]
    assert [part["body"] for part in sent[1:]] == [b"one"]
