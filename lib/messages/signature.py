"""The signature of an outgoing event, after Standard Webhooks (https://www.standardwebhooks.com), version 1."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from lib.config import Secret


def signed(secrets: Iterable[Secret], event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that prove whom a body comes from, and when it was sent; one signature by each secret."""
    seconds = str(int(at.timestamp()))
    message = b".".join((event_id.encode(), seconds.encode(), body))
    signatures = (hmac.digest(_key(secret), message, sha256) for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join("v1," + base64.b64encode(one).decode() for one in signatures),
    }


def _key(secret: Secret) -> bytes:
    return base64.b64decode(secret.reveal().removeprefix("whsec_"))
