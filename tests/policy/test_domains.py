"""One spelling for a domain, whatever a buyer types."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.policy import InvalidDomain, normalise_domain


@pytest.mark.parametrize(
    ("typed", "ascii_name"),
    [
        ("shop.example", "shop.example"),
        ("  Shop.EXAMPLE \n", "shop.example"),
        ("www.shop.example", "shop.example"),
        ("WWW.Shop.Example.", "shop.example"),
        ("https://shop.example", "shop.example"),
        ("http://www.shop.example/", "shop.example"),
        ("HTTPS://www.shop.example/path?q=1", "shop.example"),
        ("blog.shop.example", "blog.shop.example"),
        ("www2.shop.example", "www2.shop.example"),
        ("my-shop.co.uk", "my-shop.co.uk"),
        ("1und1.example", "1und1.example"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("www.MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("shop。example", "shop.example"),
        ("www.example", "www.example"),
        ("a.b", "a.b"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
    ],
)
def test_what_buyers_type_becomes_one_name(typed: str, ascii_name: str) -> None:
    """Case, white space, scheme, path, final dot, `www.` and other scripts all lead to the same ASCII name."""
    assert normalise_domain(typed) == ascii_name


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        ".",
        "..",
        "shop",
        "localhost",
        "www.",
        "https://",
        "shop..example",
        ".shop.example",
        "-shop.example",
        "shop-.example",
        "shop_1.example",
        "my shop.example",
        "anna@shop.example",
        "shop.example:8080",
        "shop,example",
        "*.shop.example",
        "192.0.2.1",
        "[2001:db8::1]",
        "none!",
        "\x00.example",
        "shop.example\x00",
        f"{'a' * 64}.example",
        ".".join(["abcdefgh"] * 29),
        "☃️ .example",
    ],
)
def test_what_is_no_domain_is_refused(typed: str) -> None:
    """What no website can have is refused with words for people, never passed on to the panel."""
    with pytest.raises(InvalidDomain) as refused:
        normalise_domain(typed)
    assert str(refused.value)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.one_of(st.text(max_size=60), st.from_regex(r"(https?://)?(www\.)?[a-zß-ž0-9.-]{1,40}(/.*)?", fullmatch=True)))
@example("www.www.shop.example")
def test_a_normal_name_is_its_own_normal_form(typed: str) -> None:
    """Anything is refused or becomes a lower-case ASCII host name, and that name is left as it is ever after."""
    try:
        name = normalise_domain(typed)
    except InvalidDomain:
        return
    assert name.isascii()
    assert name == name.lower().strip(".")
    assert 2 <= len(name.split(".")) <= len(name) <= 253
    assert normalise_domain(name) == name
    assert normalise_domain(f"https://{name.upper()}./index.html") == name
