"""Write the pages of `docs/` that are made from the code, so that nothing is said twice."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.config import REQUIRED, Settings
from lib.model.reason import Reason, Rule, SettingsFault, WaitReason

ROOT = Path(__file__).resolve().parent.parent

SETTINGS = """\
<!-- Made from `lib/config/settings.py` by `python -m scripts._docs`: change it there. -->
# Settings

On Vercel: Settings > Environment Variables, then deploy again, since settings are read at deployment. Elsewhere: the
environment, or a file `.env` (the environment wins); [.env.example](../.env.example) is one to begin with. All that is
missing or wrong is reported at once, by every function and by `./scripts/doctor`.

An empty setting counts as one that is not set. Blanks around a value, a slash at the end of an address and the case of
a choice mean nothing. After a change that concerns everybody (`GRACE_DAYS`, for example):
[give everybody a pass](operate.md#run-a-pass-now).

"""
"""What stands above the table of the settings."""

API = """\
<!-- Made from the functions' types by `python -m scripts._docs`: change it there. -->
# Routes

The same as a document for programs: `/openapi.json` of the deployment (OpenAPI 3.1). Fields are camelCase, times ISO
8601 in UTC. A field or parameter that a route does not know is refused with 422, and `errors` names every fault at
once; other errors are problem documents (RFC 9457) whose `code` is stable. Lists take `limit` (50; at most 200) and
`cursor` (the `nextCursor` of the page before); `Accept: text/csv` gives the whole filter where a list offers it.
"""
"""What stands above the routes."""

WORDS = """\
<!-- Made from `lib/model/reason.py` by `python -m scripts._docs`: change it there. -->
# Reasons

Every word that the queue, the dashboard and the timeline use for something that is not (yet) as bought.
[operate.md](operate.md) says how to see it and how to act.

## Parked: a person must act

A parked customer is tried again by each new event, by each sweep and by a sync, so most of these end by themselves
once the cause is gone. `problems` in the queue has each with its detail. Their other subscriptions go on.

{reasons}
## Failing: the settings

What is nobody's own matter parks nobody: it is tried again until it works, and the last error begins with one of
these. They concern everybody, and `GET /api/health` with a key tells them, too.

{faults}
## Waiting: by itself

Words of `waits_for`, of a service or of its row in the queue. Waiting is not failing. Any other word there is the rule
whose date is waited for: `active` or `trialing` when Stripe has announced an end, `canceled` for the retention; of a
service it may also be a reason of the first table.

{waits}
## Rules: why it is as it is

Words of `rule`, beside what should be and beside each action in the timeline. Where a word of the tables above says
why, the rule is that word: `double_purchase`, `in_grace`.

{rules}"""
"""The page of all reasons, with a place for each table."""

EVENTS = """\
<!-- Made from `lib/model/payloads.py` by `python -m scripts._docs`: change it there, or in the script. -->
# Outgoing events

What happens here is told to systems of your own: your shop, your accounts, a chat. They listen; no balance, wallet or
credit of theirs is kept here. Without `OUTBOX_URL` nothing of this exists.

## Set it up

```sh
OUTBOX_URL=https://app.example.com/events                 # several, comma-separated
OUTBOX_SECRET=whsec_...                                   # one for each: echo whsec_$(openssl rand -base64 32)
OUTBOX_TYPES=order.paid|service.*                         # one list for each; unset: every type
```

To see it work: `./scripts/demo`, whose shop hears everything (`./scripts/demo shop --broken`, then `--mended`).

Then send [a test](#look-and-act). An address is https and of the public internet; redirects are not followed and no
proxy of the environment is asked. `OUTBOX_ALLOW_PRIVATE=1` allows http and addresses of your own network.

To change a secret write `old|new`, let the receiver learn the new one, then write the new one alone. In between each
event carries both signatures. To move a receiver write its new address and [resend](#look-and-act) to it what its old
one has not taken.

## Receive

Each event is one POST of JSON, below 20 kB, signed after [Standard Webhooks](https://www.standardwebhooks.com): most
languages have its library. In Python:

```python
from standardwebhooks import Webhook


def receive(body: bytes, headers: dict[str, str]) -> None:
    event = Webhook("whsec_...").verify(body, headers)  # raises when it is forged or older than 5 minutes
    if already_seen(event["id"]):  # at least once: the same event may come again
        return
    ...
```

Without the library: `webhook-signature` holds signatures, separated by blanks; one of them must be `v1,` and the base64
of HMAC-SHA256 over `webhook-id.webhook-timestamp.body`, the key being what stands behind `whsec_`, decoded from base64.

- Answer 2xx within 10 seconds once it is stored; do the work afterwards. Everything else is a failure, redirects too.
- It comes **at least once**: go by `id`.
- It comes **in order for each customer**: `sequence` counts from 1 without a gap, and the next one is sent once the one
  before has arrived. Events of different customers come in any order.
- `Retry-After` is kept to. 410 disables the endpoint.
- An event tells what was true when it was written. What must be true now is read from Stripe or the admin routes.

## When it fails

| what happens | what becomes of it |
|---|---|
| an event fails | its customer's later events wait; it is tried again after 30 s, 1, 5, 15 and 30 min, then each hour |
| events of two customers fail in a row | one is tried at a time until one arrives; then all go on |
| one event fails ten times while others arrive | it is parked (`event_refused`): mend the receiver, or skip it |
| nothing arrives for 5 days, or 410 | the endpoint is disabled, as dashboard and log say; events go on queueing |
| another endpoint, and every customer | go on |

Nothing is lost meanwhile. What was delivered or skipped is deleted after `EVENT_RETENTION_DAYS`, what waits is not.

## Look and act

```sh
curl "$BRIDGE/api/admin/events?direction=out" -H "$KEY"                    # the newest, and every endpoint
curl "$BRIDGE/api/admin/events?direction=out&state=waiting" -H "$KEY"
curl "$BRIDGE/api/admin/events?direction=out&id=evt_..." -H "$KEY"         # one, its body and every try
curl $BRIDGE/api/admin/events -H "$KEY" -d '{"action": "test", "endpoint": "ep_..."}'
curl $BRIDGE/api/admin/events -H "$KEY" -d '{"action": "enable", "endpoint": "ep_..."}'
curl $BRIDGE/api/admin/events -H "$KEY" -d '{"action": "skip", "endpoint": "ep_...", "eventIds": ["evt_..."]}'
curl $BRIDGE/api/admin/events -H "$KEY" -d '{"action": "resend", "endpoint": "ep_...", "eventIds": ["evt_..."]}'
curl $BRIDGE/api/admin/events -H "$KEY" \\
  -d '{"action": "resend", "endpoint": "ep_...", "filter": {"from": "-7d"}, "dryRun": true}'
```

`$BRIDGE` and `$KEY` are those of [operate.md](operate.md). An endpoint is named by its id or its address. With a filter
send `dryRun` first, then `expected` and `asOf` as it answered. What is sent again has the same bytes and the same `id`;
an address that is new gets what others were told before it was there.

## The body

{envelope}
The cause:

{cause}
The same as JSON Schemas, for programs: `/schemas/events.json` of the deployment.

## The types

{types}
## What is in `data`

Money is an integer in Stripe's minor units of the currency beside it. Of personal data there is the domain of a service
and nothing else; erasing a customer empties what was written about them.

{payloads}"""
"""The page of the outgoing events, with a place for each table."""

_CODE = re.compile(
    r"(?<![`/\w.])(\./scripts/\w+|metadata\.domain|docs/\w+\.md|[A-Za-z]+(?:_[A-Za-z]+)+(?:=\w+)?|kind '\w+')(?![`\w])"
)
"""What stands in plain sentences and is code: names with an underscore, scripts, Stripe's field."""


def main() -> None:
    """Write every page, or with --check say which of them is not as it would be written."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts._docs",
        description="Writes docs/settings.md and docs/reasons.md from the code.",
        epilog="Exit code: 0 the pages are written, or equal, 1 with --check: some are not.",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; say what is not up to date")
    options = parser.parse_args()
    stale = [name for name, made in PAGES.items() if _read(ROOT / "docs" / name) != made()]
    if options.check:
        for name in stale:
            print(f"docs/{name} is not up to date: python -m scripts._docs", file=sys.stderr)
        raise SystemExit(1 if stale else 0)
    for name in stale:
        (ROOT / "docs" / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/{name}")


def settings() -> str:
    """The page of all settings, in the order of `Settings`."""
    rows = []
    for _, about in Settings.each():
        meaning = coded(about.help)
        name, default, allowed = f"`{about.env}`", _default(about.default), _allowed(about.parse)
        rows.append((name, default, allowed, meaning[:1].upper() + meaning[1:]))
    return SETTINGS + _table(("setting", "default", "allowed", "meaning"), rows)


def reasons() -> str:
    """The page of all that customers are parked for, fail for or wait for, and of the rules."""
    tables = {
        "reasons": _reasons("reason", Reason),
        "faults": _reasons("error", SettingsFault),
        "waits": _reasons("waits_for", WaitReason),
        "rules": _table(("rule", "what it means"), [(f"`{rule}`", coded(rule.means)) for rule in Rule]),
    }
    return WORDS.format(**tables)


def api() -> str:
    """The page of every route, from the OpenAPI document."""
    from scripts._openapi import document

    known = document()
    parts = [API]
    for path, methods in known["paths"].items():
        for method, operation in methods.items():
            parts.append(f"## {method.upper()} {path}\n\n{operation['summary']}\n\n{_who(operation)}\n")
            if "parameters" in operation:
                rows = [(f"`{p['name']}`", _shape(p["schema"])) for p in operation["parameters"]]
                parts.append(_table(("parameter", "takes"), rows))
            if "requestBody" in operation:
                parts.append(_body(operation["requestBody"]["content"]["application/json"]["schema"], known))
            parts.append(f"Answers: {_answers(operation)}.\n")
    return "\n".join(parts)


def events() -> str:
    """The page of the outgoing events, from their types."""
    from lib.model.outgoing import OutgoingType
    from lib.model.payloads import PAYLOADS

    types = [
        (f"`{one}`", one.means, f"[{PAYLOADS[one].__name__}](#{PAYLOADS[one].__name__.lower()})")
        for one in OutgoingType
    ]
    payloads = []
    for kind in dict.fromkeys(PAYLOADS.values()):
        parts = [kind.__name__, *_EVENT_PARTS.get(kind.__name__, ())]
        payloads += [f"### {name}\n\n{_event_fields(name)}" for name in parts]
    return (
        EVENTS.replace("{envelope}", _event_fields("Envelope"))
        .replace("{cause}", _event_fields("Cause"))
        .replace("{types}", _table(("type", "it happened", "`data`"), types))
        .replace("{payloads}", "\n".join(payloads))
    )


_EVENT_PARTS = {"ServiceData": ("ServiceBefore",), "ParkedData": ("ParkedProblem",)}


def _event_fields(name: str) -> str:
    from scripts import _events

    rows = [(f"`{field}`", _shape(schema)) for field, schema, _ in _events.fields(name)]
    return _table(("field", "what it is"), rows)


def _who(operation: Mapping[str, Any]) -> str:
    names = {
        "adminKey": "a key of `ADMIN_API_KEY`",
        "cronSecret": "`CRON_SECRET`",
        "stripeSignature": "Stripe's signature",
    }
    ways = [names[next(iter(way))] if way else "nothing" for way in operation["security"]]
    return "Needs " + " or ".join(ways or ["nothing"]) + "."


def _shape(schema: Mapping[str, Any]) -> str:
    """What a value must be, in a few words."""
    if "description" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_shape(option) for option in schema["anyOf"] if option.get("type") != "null"))
    if schema.get("type") == "array":
        return f"a list, each {_shape(schema['items'])}"
    words = {"string": "text", "integer": "a whole number", "boolean": "`true` or `false`", "object": "an object"}
    return words.get(str(schema.get("type")), "any value")


def _body(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The fields of a body; of several kinds, those of each."""
    options = schema.get("anyOf", [schema])
    tables = []
    for option in options:
        struct = known["components"]["schemas"].get(option.get("$ref", "").rpartition("/")[2])
        if struct is None:
            tables.append(str(option.get("description", "")) + "\n")
            continue
        tables.append(f"{struct.get('description', '')}\n")
        needed = struct.get("required", [])
        rows = [
            (f"`{name}`", _shape(field) + (" (needed)" if name in needed else ""))
            for name, field in struct["properties"].items()
        ]
        tables.append(_table(("field", "takes"), rows))
    return "\n".join(tables)


def _answers(operation: Mapping[str, Any]) -> str:
    told = []
    for status, response in operation["responses"].items():
        shapes = [_shape(part["schema"]) for part in response.get("content", {}).values() if "schema" in part]
        told.append((status, " or ".join(dict.fromkeys(shapes))))
    problems = [status for status, shape in told if shape == "`ProblemDocument`"]
    others = [f"{status} {shape}".strip() for status, shape in told if shape != "`ProblemDocument`"]
    return ", ".join(others) + f"; problems {', '.join(problems)}"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings,
    "reasons.md": reasons,
    "api.md": api,
    "events.md": events,
}
"""The name of each page in `docs/`, and what makes it."""


def _reasons(name: str, words: Iterable[Reason | SettingsFault | WaitReason]) -> str:
    rows = [(f"`{word}`", coded(word.means), coded(word.remedy)) for word in words]
    return _table((name, "what it means", "what to do"), rows)


def coded(text: str) -> str:
    """`text` with what is code in it marked as code."""
    return _CODE.sub(lambda found: "`" + found[1].replace("'", "").replace("kind ", "kind=") + "`", text)


def _default(default: Any) -> str:
    if default is REQUIRED:
        return "needed"
    return "" if default is None else f"`{default}`"


def _allowed(parse: Callable[[str], Any]) -> str:
    """What a setting accepts, in the words that refuse anything else."""
    try:
        parse("\0?")
    except ValueError as refused:
        said = str(refused).removeprefix("must be ").removeprefix("a whole number from ").removeprefix("one of ")
        return re.sub(r"( \(.*\)| such as .*)$", "", said)
    return ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    main()
