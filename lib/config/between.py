"""What is wrong between settings each of which is right by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def between(values: Mapping[str, Any]) -> list[str]:
    """Every such problem, in the words that a person reads; by the settings' fields, as far as each could be read."""
    return [
        *_outbox_problems(values),
        *_mail_problems(values),
        *_alert_problems(values),
        *_key_problems(values),
        *_shard_problems(values),
    ]


def _outbox_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong between the settings of outgoing events, as far as each could be read."""
    urls, secrets, types = (values.get(name) for name in ("outbox_urls", "outbox_secrets", "outbox_types"))
    if not urls or not {"outbox_secrets", "outbox_types"} <= set(values):
        return []
    problems = []
    if not secrets:
        problems.append(
            "OUTBOX_SECRET is missing: it signs what is sent (make one: echo whsec_$(openssl rand -base64 32))"
        )
    elif len(secrets) != len(urls):
        problems.append(f"OUTBOX_SECRET has {len(secrets)} and OUTBOX_URL {len(urls)}: give one for each address")
    if types and len(types) != len(urls):
        problems.append(f"OUTBOX_TYPES has {len(types)} lists and OUTBOX_URL {len(urls)}: give one for each address")
    if values.get("outbox_allow_private") == "0" and any(not url.lower().startswith("https:") for url in urls):
        problems.append("OUTBOX_URL must begin with https:// (OUTBOX_ALLOW_PRIVATE=1 allows http for local use)")
    return problems


def _mail_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong between the settings of mails, as far as each could be read."""
    if not {"mail_url", "mail_from"} <= set(values) or (values["mail_url"] is None) == (values["mail_from"] is None):
        return []
    missing = "MAIL_FROM" if values["mail_from"] is None else "MAIL_URL"
    return [f"{missing} is missing: customers are written to with MAIL_URL and MAIL_FROM, or with neither"]


_ALERTS = ("alert_webhook_url", "alert_format", "alert_routing_key", "alert_email", "mail_url")


def _alert_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong between the settings of alerts, as far as each could be read."""
    if not set(_ALERTS) <= set(values):
        return []
    url, form, key, email, mail = (values[name] for name in _ALERTS)
    problems = []
    if email is not None and mail is None:
        problems.append("ALERT_EMAIL needs MAIL_URL and MAIL_FROM: the server that takes the mails")
    if form == "pagerduty" and key is None:
        problems.append("ALERT_ROUTING_KEY is missing: ALERT_FORMAT=pagerduty needs the integration key of a service")
    public = values.get("outbox_allow_private") == "0"
    if url is not None and public and not url.reveal().lower().startswith("https:"):
        problems.append("ALERT_WEBHOOK_URL must begin with https:// (OUTBOX_ALLOW_PRIVATE=1 allows http for local use)")
    return problems


def _key_problems(values: Mapping[str, Any]) -> list[str]:
    """Scopes of keys that there are none of: with a name mistyped, the key that was meant would reach everything."""
    if not {"admin_keys", "key_scopes"} <= set(values) or not values["key_scopes"]:
        return []
    known = {name for name, _ in values["admin_keys"]}
    unknown = ", ".join(name for name, _ in values["key_scopes"] if name not in known)
    return [f"KEY_SCOPES names {unknown}: ADMIN_API_KEY has no key of that name"] if unknown else []


def _shard_problems(values: Mapping[str, Any]) -> list[str]:
    """A purchase on our own page begins before its customer is made, who may then be another shard's."""
    sells = values.get("checkout_success_url") is not None and values.get("checkout_cancel_url") is not None
    if values.get("shard") is None or not sells:
        return []
    said = "SHARD does not go with CHECKOUT_SUCCESS_URL: whose shard a new buyer is shows only when they have paid"
    return [f"{said}; sell by Payment Links or a shop of your own (docs/capacity.md)"]
