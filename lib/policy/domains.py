"""One spelling for a domain: what buyers type, as the panel wants it."""

from __future__ import annotations

import re

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)


class InvalidDomain(ValueError):
    """What was typed is no domain name that a website can have."""


def normalise_domain(typed: str) -> str:
    """`typed` as a lower-case ASCII (punycode) host name without ``www.``; forgives a scheme, a path and a final dot.

    Raises:
        InvalidDomain: it is not a host name with at least two labels.
    """
    text = typed.strip().lower()
    text = re.sub(r"^https?://", "", text).split("/", 1)[0].rstrip(".")
    if not text.isascii():
        import idna  # 20 ms and 300 kB of tables that an ASCII name never needs

        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError as problem:
            raise InvalidDomain(f"{typed[:80]!r} is not a domain name: {problem}") from problem
    while text.startswith("www.") and text.count(".") > 1:
        text = text[4:]
    labels = text.split(".")
    if len(text) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidDomain(f"{typed[:80]!r} is not a domain name such as shop.example")
    if labels[-1].isdigit():
        raise InvalidDomain(f"{typed[:80]!r} is an address, not a domain name")
    return text
