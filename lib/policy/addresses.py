"""Which addresses of the internet may be connected to on somebody's word."""

from __future__ import annotations

import ipaddress

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED = (
    *(ipaddress.ip_network(network) for network in ("0.0.0.0/8", "100.64.0.0/10", "192.88.99.0/24", "240.0.0.0/4")),
    *(ipaddress.ip_network(network) for network in ("::/96", "64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16")),
)
"""What some versions of Python call global, and is not: or leads to another network than it says."""


def is_public(address: str) -> bool:
    """Whether an address, as a resolver gives it, is one of the public internet; what is no address is not.

    One that carries another inside (mapped, 6to4, NAT64) is what it carries; Teredo hides whom it leads to.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None or found.scope_id is not None:
            return False
    special = (
        found.is_multicast or found.is_reserved or found.is_unspecified or found.is_loopback or found.is_link_local
    )
    return found.is_global and not special and not any(found in network for network in _REFUSED)
