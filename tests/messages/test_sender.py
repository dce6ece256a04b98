"""Where an event may be sent to, whatever a name in the settings turns out to lead to."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from lib.messages import sender
from lib.messages.sender import Resolve, Sender, read_wish, refusal
from lib.model.outgoing import Attempt
from lib.policy.addresses import is_public
from tests.messages.receiver import Receiver, receiving

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

PRIVATE = (
    "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
    "0.1.2.3", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "fec0::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::", "2001::1", "100::1",
    "example.com", "", "127.1", "0x7f000001", "2130706433",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public(address: str) -> None:
    """Own machines, own networks, the cloud's metadata, and every form in which they hide."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    """Ordinary addresses, also inside a form that carries them."""
    assert is_public(address)


def leading_to(*answers: list[str]) -> Resolve:
    """A resolver that answers these, one after another, and the last for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def post(url: str, resolve: Resolve | None = None, *, allow_private: bool = False) -> Attempt:
    """One POST of a small body."""
    async with Sender(url, allow_private=allow_private, resolve=resolve or sender.look_up) as made:
        return await made.post(b"{}", {"webhook-id": "evt_1"})


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"]])
async def test_a_name_that_leads_inside_is_refused_before_a_connection(addresses: list[str]) -> None:
    """Also when only one of its addresses does."""
    found = Receiver()
    with receiving(found) as url:
        attempt = await post(url.replace("127.0.0.1", "inside.example"), leading_to(addresses))
    assert found.calls == []
    assert attempt.error is not None
    assert "no address of the public internet" in attempt.error


async def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that says something else when it is asked again is not asked again."""
    asked: list[str] = []
    with receiving(found := Receiver()) as url:
        resolve = leading_to(["127.0.0.1"], ["10.0.0.1"])

        async def counted(host: str, port: int) -> list[str]:
            asked.append(host)
            return await resolve(host, port)

        monkeypatch.setattr(sender, "is_public", lambda address: address == "127.0.0.1")
        attempt = await post(url.replace("127.0.0.1", "rebinding.example"), counted)
    assert (attempt.status, asked) == (200, ["rebinding.example"])
    assert found.calls[0].headers["host"].startswith("rebinding.example")


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes where the settings say, and a proxy there would see it."""
    with receiving(proxy := Receiver()) as proxied, receiving(found := Receiver()) as url:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxied)
        await post(url, allow_private=True)
    assert (len(proxy.calls), len(found.calls)) == (0, 1)


async def test_a_redirect_leads_nowhere() -> None:
    """Not even to an address that would be allowed."""
    with receiving(other := Receiver()) as elsewhere, receiving(Receiver(302, {"location": elsewhere})) as url:
        attempt = await post(url, allow_private=True)
    assert (attempt.status, attempt.delivered, other.calls) == (302, False, [])


@contextmanager
def silent() -> Iterator[str]:
    """The address of somebody who takes the request and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept: list[socket.socket] = []
        threading.Thread(target=lambda: kept.append(listening.accept()[0]), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        for one in kept:
            one.close()


async def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience, as a failure with a reason."""
    monkeypatch.setattr(sender, "PATIENCE", 0.2)
    with silent() as url:
        attempt = await post(url, allow_private=True)
    assert attempt.status is None
    assert attempt.error is not None


async def test_one_that_is_not_there_is_a_failure() -> None:
    """Nobody listens, and no name: said in words, never raised."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert (await post(f"http://127.0.0.1:{port}/", allow_private=True)).error

    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    attempt = await post("https://nowhere.example/", unknown)
    assert attempt.error is not None
    assert "nowhere.example" in attempt.error


async def test_an_answer_without_end_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 2xx counts when its head has come; its body is neither awaited nor kept."""

    async def endless(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(3600)

    from scripts.sim.server import serve

    with serve(endless) as url:
        assert (await post(url, allow_private=True)).delivered


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (204, True), (299, True), (301, False), (400, False), (410, False), (503, False)]
)
def test_only_2xx_is_success(status: int, taken: bool) -> None:
    """Everything else is a failure with a reason."""
    assert (refusal(status) is None) == taken


@pytest.mark.parametrize(
    ("value", "wish"),
    [
        ("120", timedelta(minutes=2)),
        ("Sun, 01 Mar 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("9" * 40, timedelta(seconds=10**8)),
    ],
)
def test_retry_after(value: str, wish: timedelta | None) -> None:
    """Seconds or a date; nonsense is no wish."""
    assert read_wish(value, NOW) == wish
