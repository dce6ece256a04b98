"""Under which word something is counted for an address or a mailbox, without keeping it. Pure."""

from __future__ import annotations

import hashlib

from lib.config import Secret


def digest(secret: Secret, subject: str) -> str:
    """A word for an address or a mailbox from which nobody gets back to it."""
    key = hashlib.blake2b(secret.reveal().encode(), digest_size=32).digest()
    return hashlib.blake2b(subject.encode("utf-8", "replace"), key=key, digest_size=16).hexdigest()


def mailbox(email: str) -> str:
    """The subject of a mailbox, however its address is written."""
    return f"mail:{email.strip().casefold()}"
