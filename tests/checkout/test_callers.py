"""Who is calling, by the network: what a proxy of ours has seen, and never what somebody made up."""

import pytest

from lib.checkout.shop import Caller
from lib.web.origins import address_of
from lib.web.request import Message, Request

PEER = "10.0.0.7"


def request(*headers: str) -> Request:
    """A request that came over a connection from `PEER`."""
    told = [(b"x-forwarded-for", header.encode()) for header in headers]
    return Request({"method": "GET", "path": "/", "headers": told, "client": (PEER, 4711)}, unread)


async def unread() -> Message:
    """No part of a body: nobody looks at it."""
    raise AssertionError


@pytest.mark.parametrize(
    ("headers", "proxies", "address"),
    [
        ([], 0, PEER),
        (["6.6.6.6"], 0, PEER),
        (["6.6.6.6, 192.0.2.1"], 1, "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1"], 1, "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1, 203.0.113.9"], 2, "192.0.2.1"),
        (["192.0.2.1"], 2, PEER),
        ([], 1, PEER),
        (["6.6.6.6,"], 1, PEER),
        (["192.0.2.1:50123"], 1, "192.0.2.1"),
        (["[2001:db8::1]:50123"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
    ],
)
def test_as_many_entries_are_believed_as_there_are_proxies(headers: list[str], proxies: int, address: str) -> None:
    """From the right, one for each; a header that somebody else wrote moves nothing."""
    assert address_of(request(*headers), proxies) == address


def test_an_address_is_counted_as_one_customer_of_a_provider() -> None:
    """Half an address of the sixth version; one of the fourth that is written as such is none."""
    assert Caller("2001:db8::1").network == Caller("2001:db8::2").network == "2001:db8::/64"
    assert Caller("::ffff:192.0.2.1").network == Caller("192.0.2.1").network == "192.0.2.1"
    assert Caller("::ffff:192.0.2.2").network != Caller("::ffff:192.0.2.1").network
