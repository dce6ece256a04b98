"""Pages for a browser without a script: how a purchase stands, renewed by itself, and what was wrong with a form."""

from __future__ import annotations

import json
from html import escape

from lib.checkout.views import Status
from lib.web.request import Request
from lib.web.response import Response

PAUSES = (1, 2)
PAUSE = 5
"""Seconds until such a page is renewed: the first times, and afterwards."""

ROUNDS = 26
"""How often it is: about two minutes."""

WORDS = {
    "pending": ("Waiting for your payment", "Nothing has been paid yet."),
    "paying": ("Your payment is under way", "Your bank takes some time for it. We write to you as soon as it is here."),
    "paid": ("Thank you: your payment is here", "We are setting everything up."),
    "provisioning": ("Thank you: your payment is here", "We are setting everything up."),
    "ready": ("Everything is ready", "You get a mail with which you choose your password."),
    "refunded": ("Your money is on its way back", "This purchase has been refunded."),
    "failed": ("The payment did not work", "Nothing has been bought."),
    "expired": ("This purchase has expired", "Nothing has been paid, and nothing has been bought."),
}
LATER = "This takes longer than usual. You need not wait here: we write to you."
STEPS = {"account": "Your account", "hosting": "Your hosting", "website": "Your website"}
LINKS = {"pay": "Pay now", "site": "Your website", "panel": "Control panel", "again": "Begin anew"}

_WAITING = ("pending", "paid", "provisioning")


def wants_page(request: Request) -> bool:
    """Whether a browser asks, and no script."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "application/json" not in accepted


def status_page(status: Status, session_id: str, rounds: int) -> Response:
    """How a purchase stands. It is asked for again by itself as long as it may still change."""
    title, text = WORDS[status.state]
    head = ""
    if status.state in _WAITING:
        if rounds < ROUNDS:
            pause = PAUSES[rounds] if rounds < len(PAUSES) else PAUSE
            next_one = f"/api/checkout?session_id={session_id}&round={rounds + 1}"
            refresh = f'<meta http-equiv="refresh" content="{pause};url={escape(next_one)}">'
            head = f'<noscript>{refresh}</noscript><script src="/success.js" defer></script>'
        elif status.state != "pending":
            text = LATER
    done = [f'<li class="{"done" if step.done else "open"}">{STEPS[step.name]}</li>' for step in status.steps]
    links = [
        f'<a class="button" href="{escape(url)}">{LINKS[name]}</a>'
        for name in LINKS
        if (url := getattr(status.urls, name)) is not None
    ]
    body = (
        f'<h1 id="title">{title}</h1><p id="text">{text}</p>'
        f'<ol id="steps">{"".join(done)}</ol><p id="links">{" ".join(links)}</p>'
    )
    return _page(title, body, head=head)


def problem_page(response: Response, back: str | None) -> Response:
    """A problem document as a page."""
    said = json.loads(bytes(response.body))
    faults = [escape(str(fault["detail"])) for fault in said.get("errors", [])] or [escape(str(said["detail"]))]
    text = "".join(f"<p>{fault}</p>" for fault in faults)
    link = f'<p><a class="button" href="{escape(back)}">Back</a></p>' if back else ""
    page = _page("That did not work", f"<h1>That did not work</h1>{text}{link}", status=response.status_code)
    for name in ("retry-after", "www-authenticate"):
        if name in response.headers:
            page.headers[name] = response.headers[name]
    return page


def _page(title: str, body: str, *, head: str = "", status: int = 200) -> Response:
    return Response(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="/shop.css">{head}</head>'
        f"<body><main>{body}</main></body></html>\n",
        status_code=status,
        media_type="text/html",
    )
