"""The simulated Stripe, driven by the real SDK."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import stripe

from scripts.sim.server import serve
from scripts.sim.stripe_sim import ApiError, StripeSim

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

NOW = 1_794_000_000
DAY = 86_400


@pytest.fixture
def sim() -> StripeSim:
    """An account with one monthly price, and a clock that stands still."""
    sim = StripeSim(clock=lambda: NOW)
    sim.create_price("price_basic_monthly")
    return sim


@pytest.fixture
def url(sim: StripeSim) -> Iterator[str]:
    """Where the simulator listens."""
    with serve(sim.app) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[stripe.StripeClient]:
    """The real SDK, pointed at the simulator."""
    stripe.enable_telemetry = False
    http = stripe.RequestsClient(timeout=20)
    yield stripe.StripeClient("sk_test_fake", http_client=http, base_addresses={"api": url})
    http.close()  # type: ignore[no-untyped-call]


def subscribed(sim: StripeSim, **options: Any) -> dict[str, Any]:
    """A new customer's subscription."""
    customer = sim.create_customer("anna@example.com", "Anna")
    return sim.subscribe(customer["id"], ["price_basic_monthly"], **options)


def test_subscription_has_the_shape_of_the_pinned_version(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Periods are on the items only, and the latest invoice leads back to the subscription through its parent."""
    sub_id = subscribed(sim, metadata={"domain": "shop.example"})["id"]
    sub = client.v1.subscriptions.retrieve(
        sub_id, {"expand": ["latest_invoice", "customer", "items.data.price.product"]}
    )
    assert sub.status == "active"
    assert "current_period_end" not in sub
    assert sub["items"].data[0].current_period_end > NOW
    assert sub.customer.email == "anna@example.com"  # type: ignore[union-attr]
    assert sub["items"].data[0].price.product.name == "Hosting"
    invoice = sub.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.status == "paid"
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == sub_id
    assert "charge" not in invoice
    assert "payments" not in invoice
    assert isinstance(client.v1.subscriptions.retrieve(sub_id).latest_invoice, str)


def test_lists_page_newest_first_and_hide_what_ended(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Walking the pages meets every subscription once, newest first, ended ones only with status=all."""
    made = [subscribed(sim, created=NOW - 100 + number)["id"] for number in range(7)]
    sim.cancel(made[3])
    everything = client.v1.subscriptions.list({"status": "all", "limit": 3, "expand": ["data.customer"]})
    assert everything.has_more
    assert [sub.id for sub in everything.auto_paging_iter()] == made[::-1]
    assert all(sub.customer.object == "customer" for sub in everything.data)  # type: ignore[union-attr]
    assert made[3] not in [sub.id for sub in client.v1.subscriptions.list({"limit": 100}).data]
    newer = client.v1.subscriptions.list({"status": "all", "limit": 2, "ending_before": made[2]})
    assert [sub.id for sub in newer.data] == [made[4], made[3]]
    own = client.v1.subscriptions.list({"customer": sim.subscriptions[made[5]]["customer"]})
    assert [sub.id for sub in own.data] == [made[5]]
    recent = client.v1.subscriptions.list({"status": "all", "created": {"gte": NOW - 95}})
    assert [sub.id for sub in recent.data] == [made[6], made[5]]


def test_errors_are_the_sdks_own(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Each refusal reaches the caller as the SDK's class for it, with Stripe's code and a request id."""
    with pytest.raises(stripe.InvalidRequestError) as not_found:
        client.v1.subscriptions.retrieve("sub_nothing")
    assert not_found.value.http_status == 404
    assert not_found.value.code == "resource_missing"
    assert not_found.value.request_id
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: nonsense"):
        client.raw_request("get", "/v1/customers", nonsense="1")
    with pytest.raises(stripe.InvalidRequestError, match=r"cannot be expanded \(charge\)"):
        client.v1.subscriptions.retrieve(subscribed(sim)["id"], {"expand": ["charge"]})
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.subscriptions.list({"expand": ["data.items.data.price.product"]})
    with pytest.raises(stripe.AuthenticationError):
        client.v1.customers.list(options={"api_key": "sk_test_other"})
    sim.forbid("/v1/invoices.*")
    with pytest.raises(stripe.PermissionError, match="rak_invoice_read"):
        client.v1.invoices.list()
    sim.clear_faults()
    sim.fail_next("GET", "/v1/customers", 429)
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    sim.down = True
    with pytest.raises(stripe.APIError) as down:
        client.v1.customers.list()
    assert down.value.http_status == 503


@pytest.mark.parametrize("failure", ["drop_before", "drop_after"])
def test_dropped_connection_is_survived_by_the_same_key(
    sim: StripeSim, client: stripe.StripeClient, failure: Any
) -> None:
    """A caller who repeats a lost POST under its key finds one customer, whether or not the first took effect."""
    sim.fail_next("POST", "/v1/customers", failure)
    options: Any = {"idempotency_key": "customer:1"}
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({"email": "a@example.com"}, options)
    assert len(sim.customers) == (failure == "drop_after")
    again = client.v1.customers.create({"email": "a@example.com"}, options)
    assert list(sim.customers) == [again.id]


def test_idempotency_key_replays_and_refuses_other_parameters(sim: StripeSim, client: stripe.StripeClient) -> None:
    """One key is one effect: repeated it replays, with other parameters it is an error, and a 500 stays a 500."""
    options: Any = {"idempotency_key": "customer:1"}
    first = client.v1.customers.create({"email": "a@example.com"}, options)
    again = client.v1.customers.create({"email": "a@example.com"}, options)
    assert first.id == again.id
    assert len(sim.customers) == 1
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert sim.events_of("customer.created")[0]["request"]["idempotency_key"] == "customer:1"
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"email": "b@example.com"}, options)
    sim.fail_next("POST", "/v1/customers", 500, after_commit=True)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.v1.customers.create({"email": "c@example.com"}, {"idempotency_key": "customer:2"})
    assert len(sim.customers) == 2


def test_signed_event_is_accepted_by_the_sdk(sim: StripeSim) -> None:
    """A delivery verifies under each of its secrets, and a thin notification is one to the SDK."""
    subscribed(sim)
    event = sim.events_of("customer.subscription.created")[0]
    body, headers = sim.signed(event, ["whsec_old", "whsec_new"])
    for secret in ("whsec_old", "whsec_new"):
        verified = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret, tolerance=None)  # type: ignore[arg-type]
        assert verified.data.object["object"] == "subscription"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_fake")
    body, headers = sim.signed(sim.thin(event))
    client = stripe.StripeClient("sk_test_fake")
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        client.parse_event_notification(body, headers["Stripe-Signature"], "whsec_fake")
    body, headers = sim.signed(sim.thin(event), timestamp=4_000_000_000)
    notice = client.parse_event_notification(body, headers["Stripe-Signature"], "whsec_fake")
    assert notice.type == "v1.customer.subscription.created"


def test_lost_events_are_found_by_delivery_success(sim: StripeSim, url: str, client: stripe.StripeClient) -> None:
    """Delivered events leave the list of failed deliveries, dropped ones stay on it."""
    subscribed(sim)
    kept, lost = sim.undelivered()[:2]
    sim.mark_delivered(kept)
    sim.drop(lost)
    assert not sim.deliver(url, sim.undelivered()[0]).is_success
    failed = {event.id for event in client.v1.events.list({"delivery_success": False, "limit": 100}).data}
    assert lost["id"] in failed
    assert kept["id"] not in failed
    assert lost not in sim.undelivered()
    paid = client.v1.events.list({"type": "invoice.*", "created": {"gte": NOW}})
    assert {event.type for event in paid.data} >= {"invoice.paid", "invoice.created"}


def test_failed_renewal_and_its_payment(sim: StripeSim, client: stripe.StripeClient) -> None:
    """A failed renewal leaves past_due and an open invoice, a retry changes no status, paying makes it active."""
    sub = subscribed(sim, created=NOW - 40 * DAY)
    sim.fail_payment(sub["id"], created=NOW - 9 * DAY)
    told = len(sim.events_of("customer.subscription.updated"))
    sim.fail_payment(sub["id"], retry=True)
    assert len(sim.events_of("customer.subscription.updated")) == told
    assert client.v1.subscriptions.retrieve(sub["id"]).status == "past_due"
    (invoice,) = client.v1.invoices.list({"subscription": sub["id"], "status": "open"}).data
    assert invoice.created == NOW - 9 * DAY
    assert invoice.attempt_count == 2
    client.v1.invoices.pay(invoice.id)
    assert sub["status"] == "active"
    assert sim.events_of("customer.subscription.updated")[-1]["data"]["previous_attributes"] == {"status": "past_due"}


@pytest.mark.parametrize(
    "status", ["active", "trialing", "incomplete", "incomplete_expired", "past_due", "unpaid", "paused", "canceled"]
)
def test_every_status_can_be_reached(sim: StripeSim, client: stripe.StripeClient, status: Any) -> None:
    """A subscription made in a status is in it over HTTP, with the item it was bought for."""
    sub = subscribed(sim, status=status, created=NOW - 40 * DAY)
    seen = client.v1.subscriptions.retrieve(sub["id"], {"expand": ["latest_invoice"]})
    assert seen.status == status
    assert seen["items"].data[0].price.id == "price_basic_monthly"
    unpaid = status in ("incomplete", "past_due", "unpaid")
    assert (seen.latest_invoice.status == "open") == unpaid  # type: ignore[union-attr]


def test_checkout_from_session_to_money(sim: StripeSim, client: stripe.StripeClient) -> None:
    """A bought session leads to customer, subscription, charge and fee, and the charge leads back."""
    session = client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": "price_basic_monthly", "quantity": 1}],
            "success_url": "https://shop.example/?session_id={CHECKOUT_SESSION_ID}",
            "subscription_data": {"metadata": {"order_id": "7"}},
            "custom_fields": [
                {"key": "domain", "type": "text", "label": {"type": "custom", "custom": "Domain"}},
            ],
        }
    )
    assert session.status == "open"
    assert session.subscription is None
    sim.complete_checkout(session.id, "anna@example.com", "Anna", "shop.example")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "subscription"]})
    assert done.payment_status == "paid"
    assert done.url is None
    assert done.line_items is not None
    assert done.line_items.data[0].price is not None
    assert done.custom_fields[0].text is not None
    assert done.custom_fields[0].text.value == "shop.example"
    session_sub = done.subscription
    assert isinstance(session_sub, stripe.Subscription)
    assert session_sub.metadata.to_dict() == {"order_id": "7"}
    charge = client.v1.charges.list({"customer": str(done.customer), "expand": ["data.balance_transaction"]}).data[0]
    assert charge.balance_transaction.net == 1900 - charge.balance_transaction.fee  # type: ignore[union-attr]
    links = client.v1.invoice_payments.list(
        {
            "payment": {"type": "payment_intent", "payment_intent": str(charge.payment_intent)},
            "expand": ["data.invoice"],
        }
    )
    invoice = links.data[0].invoice
    assert isinstance(invoice, stripe.Invoice)
    assert invoice.id == done.invoice
    (session_again,) = client.v1.checkout.sessions.list({"subscription": session_sub.id}).data
    assert session_again.id == session.id
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.v1.checkout.sessions.expire(session.id)


def test_delayed_payment_settles_later(sim: StripeSim) -> None:
    """A delayed method completes the session unpaid and leaves the subscription incomplete, until the money arrives."""
    lines = [{"price": "price_basic_monthly", "quantity": 2}]
    session = sim.create_checkout(mode="subscription", line_items=lines, success_url="https://shop.example/")
    sim.complete_checkout(session["id"], "b@example.com", payment="processing")
    sub = sim.subscriptions[session["subscription"]]
    assert (session["status"], session["payment_status"], sub["status"]) == ("complete", "unpaid", "incomplete")
    assert sim.invoices[sub["latest_invoice"]]["status"] == "open"
    sim.settle_checkout(session["id"])
    assert (session["payment_status"], sub["status"]) == ("paid", "active")
    assert sim.invoices[sub["latest_invoice"]]["amount_paid"] == 3800
    assert sim.events_of("checkout.session.async_payment_succeeded")


def test_item_changes_keep_or_replace_items(sim: StripeSim, client: stripe.StripeClient) -> None:
    """An update that names an item changes it, one that does not adds another; a replacement has a new id."""
    sim.create_price("price_pro_monthly", amount=4900)
    sub = subscribed(sim)
    item = sub["items"]["data"][0]["id"]
    client.v1.subscriptions.update(sub["id"], {"items": [{"id": item, "price": "price_pro_monthly", "quantity": 2}]})
    assert [(each["id"], each["price"]["id"], each["quantity"]) for each in sub["items"]["data"]] == [
        (item, "price_pro_monthly", 2)
    ]
    previous = sim.events_of("customer.subscription.updated")[-1]["data"]["previous_attributes"]
    assert previous["items"]["data"][0]["price"]["id"] == "price_basic_monthly"
    client.v1.subscriptions.update(
        sub["id"], {"items": [{"price": "price_basic_monthly"}], "metadata": {"domain": "x.example"}}
    )
    assert len(sub["items"]["data"]) == 2
    sim.change_items(sub["id"], replace=[("price_pro_monthly", 9)], invoice="open")
    assert len(sub["items"]["data"]) == 1
    assert sub["items"]["data"][0]["id"] != item
    assert sub["status"] == "active"
    assert sim.open_invoice(sub["id"])["id"] == sub["latest_invoice"]
    assert sub["metadata"] == {"domain": "x.example"}


def test_cancellation_now_and_later(sim: StripeSim, client: stripe.StripeClient) -> None:
    """The portal plans with cancel_at alone, the API with both fields; cancelling twice is a 404."""
    sub = subscribed(sim)
    sim.cancel(sub["id"], portal=True)
    assert sub["cancel_at"]
    assert not sub["cancel_at_period_end"]
    sim.uncancel(sub["id"])
    client.v1.subscriptions.update(sub["id"], {"cancel_at_period_end": True})
    assert sub["cancel_at"]
    assert sub["cancel_at_period_end"]
    client.v1.subscriptions.cancel(sub["id"])
    assert sub["status"] == "canceled"
    assert sub["ended_at"] == NOW
    with pytest.raises(stripe.InvalidRequestError) as twice:
        client.v1.subscriptions.cancel(sub["id"])
    assert twice.value.http_status == 404


def test_renewal_after_a_failed_one_or_under_paused_collection(sim: StripeSim) -> None:
    """A paid renewal ends past_due; while collection is paused a renewal is shelved and the status stays."""
    sub = subscribed(sim, status="past_due", created=NOW - 40 * DAY, changed=NOW - 9 * DAY)
    sim.renew(sub["id"])
    assert sub["status"] == "active"
    for behavior, shelved in (("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")):
        sim.set_pause_collection(sub["id"], behavior)  # type: ignore[arg-type]
        sim.renew(sub["id"])
        assert sim.invoices[sub["latest_invoice"]]["status"] == shelved
    assert sub["status"] == "active"


@pytest.mark.parametrize("verb", ["void_invoice", "mark_uncollectible"])
@pytest.mark.parametrize("status", ["past_due", "unpaid"])
def test_writing_the_latest_invoice_off_makes_active(
    sim: StripeSim, client: stripe.StripeClient, verb: str, status: Any
) -> None:
    """As if it had been paid, and nobody paid; an older one changes nothing, and what is settled is refused."""
    sub = subscribed(sim, status=status)
    older = sub["latest_invoice"]
    sim.renew(sub["id"], "failed")
    latest = sub["latest_invoice"]
    if status == "unpaid":  # what follows stays a draft until somebody finalizes it
        assert sim.invoices[latest]["status"] == "draft"
        client.v1.invoices.finalize_invoice(latest)
    getattr(client.v1.invoices, verb)(older)
    assert sub["status"] == status
    getattr(client.v1.invoices, verb)(latest)
    assert sub["status"] == "active"
    assert sim.invoices[latest]["amount_paid"] == 0
    assert sim.events_of("invoice.voided" if verb == "void_invoice" else "invoice.marked_uncollectible")
    with pytest.raises(stripe.InvalidRequestError):
        getattr(client.v1.invoices, verb)(latest)


def test_voiding_the_first_invoice_ends_what_was_incomplete(sim: StripeSim) -> None:
    """There is nothing left to pay for."""
    sub = subscribed(sim, status="incomplete")
    sim.void_invoice(sub["latest_invoice"])
    assert (sub["status"], sub["ended_at"]) == ("incomplete_expired", NOW)


def test_a_change_is_billed_by_what_is_left_of_the_period(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Credit for the old price and the rest of the new one, as prorations; what costs less is paid by itself."""
    sim.create_price("price_pro_monthly", amount=4900)
    sub = subscribed(sim, created=NOW - 15 * DAY)
    sim.change_items(sub["id"], price="price_pro_monthly", invoice="open")
    bill = client.v1.invoices.retrieve(sub["latest_invoice"])
    back, asked = bill.lines.data
    assert (back.pricing.price_details.price, asked.pricing.price_details.price) == (  # type: ignore[union-attr]
        "price_basic_monthly",
        "price_pro_monthly",
    )
    assert -1000 < back.amount < -900
    assert bill.total == back.amount + asked.amount
    assert all(line.parent.subscription_item_details.proration for line in bill.lines)  # type: ignore[union-attr]
    assert (back.period.start, bill.status, bill.billing_reason) == (NOW, "open", "subscription_update")
    sim.change_items(sub["id"], price="price_basic_monthly", invoice="open")
    down = sim.invoices[sub["latest_invoice"]]
    assert (down["status"], down["total"] < 0, down["amount_due"]) == ("paid", True, 0)


def test_drafts_wait_to_be_finalized_or_deleted(sim: StripeSim, client: stripe.StripeClient) -> None:
    """A draft is the latest invoice already, cannot be paid or voided, and becomes payable when it is finalized."""
    sub = subscribed(sim)
    sim.renew(sub["id"], "draft")
    draft = sub["latest_invoice"]
    assert sim.invoices[draft]["status"] == "draft"
    for verb in ("pay", "void_invoice"):
        with pytest.raises(stripe.InvalidRequestError):
            getattr(client.v1.invoices, verb)(draft)
    sim.finalize_invoice(draft, "paid")
    assert sim.invoices[draft]["status"] == "paid"
    sim.renew(sub["id"], "draft")
    sim.delete_draft(sub["latest_invoice"])
    assert [i.status for i in client.v1.invoices.list({"subscription": sub["id"]})] == ["paid", "paid"]


def test_an_invoice_that_is_sent_falls_due(sim: StripeSim) -> None:
    """`active` while it is open, with its date; `past_due` when that has gone by; paid, `active` again."""
    sub = subscribed(sim, collection_method="send_invoice", days_until_due=5)
    bill = sim.invoices[sub["latest_invoice"]]
    assert (sub["status"], bill["status"], bill["due_date"]) == ("active", "open", NOW + 5 * DAY)
    sim.fall_due(sub["id"])
    assert (sub["status"], len(sim.events_of("invoice.overdue"))) == ("past_due", 1)
    sim.pay_open_invoice(sub["id"])
    assert sub["status"] == "active"


def test_lines_of_an_invoice_are_a_list(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Page by page, as the embedded ones."""
    sim.create_price("price_pro_monthly", amount=4900)
    customer = sim.create_customer("anna@example.com", "Anna")
    sub = sim.subscribe(customer["id"], ["price_basic_monthly", "price_pro_monthly"])
    first = client.v1.invoices.line_items.list(sub["latest_invoice"], {"limit": 1})
    assert first.has_more
    rest = client.v1.invoices.line_items.list(sub["latest_invoice"], {"limit": 1, "starting_after": first.data[0].id})
    assert (len(rest.data), rest.has_more) == (1, False)


def test_resume_waits_for_its_payment(sim: StripeSim) -> None:
    """A resumed subscription stays paused until its invoice is paid."""
    sub = subscribed(sim)
    sim.pause(sub["id"])
    sim.resume(sub["id"], "open")
    assert sub["status"] == "paused"
    sim.pay_open_invoice(sub["id"])
    assert sub["status"] == "active"
    assert sub["status_details"] is None
    assert len(sim.events_of("customer.subscription.resumed")) == 1


def test_deleted_customer_is_a_tombstone_everywhere(sim: StripeSim, client: stripe.StripeClient) -> None:
    """A deleted customer's subscriptions are cancelled, still listed, and expand to the deleted form."""
    sub = subscribed(sim)
    sim.delete_customer(sub["customer"])
    assert client.v1.customers.retrieve(sub["customer"]).deleted is True
    assert client.v1.customers.list({"email": "anna@example.com"}).data == []
    listed = client.v1.subscriptions.list({"customer": sub["customer"], "status": "all", "expand": ["data.customer"]})
    assert listed.data[0].status == "canceled"
    assert listed.data[0].customer.deleted is True  # type: ignore[union-attr]


def test_refunds_and_disputes_move_the_charge(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Refunds add up on the charge and end at its amount; a dispute is found by its charge and forbids more refunds."""
    charge = sim.charge_of(subscribed(sim)["id"])
    client.v1.refunds.create({"payment_intent": charge["payment_intent"], "amount": 500})
    assert charge["amount_refunded"] == 500
    assert not charge["refunded"]
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create({"charge": charge["id"], "amount": 1500})
    client.v1.refunds.create({"charge": charge["id"]})
    assert charge["refunded"]
    assert len(client.v1.refunds.list({"charge": charge["id"]}).data) == 2
    other = sim.charge_of(subscribed(sim)["id"])
    dispute = sim.dispute(other["id"])
    assert client.v1.disputes.list({"charge": other["id"]}).data[0].id == dispute["id"]
    with pytest.raises(ApiError, match="charged back"):
        sim.refund(other["id"])
    sim.close_dispute(dispute["id"], "won")
    assert [txn["net"] for txn in dispute["balance_transactions"]] == [-1900 - 1500, 1900 + 1500]
    assert sim.events_of("charge.dispute.funds_reinstated", dispute["id"])


def test_async_client_and_an_interruption(sim: StripeSim, url: str) -> None:
    """The async SDK reads the same account, and a change planned before a call happens before it."""
    sub = subscribed(sim)
    sim.before("GET", "/v1/subscriptions/.*", lambda: sim.set(sub["id"], status="unpaid"))

    async def read() -> list[str]:
        http = stripe.HTTPXClient(timeout=20)
        client = stripe.StripeClient("sk_test_fake", http_client=http, base_addresses={"api": url})
        answers = [await client.raw_request_async("get", f"/v1/subscriptions/{sub['id']}") for _ in range(2)]
        await http.close_async()  # type: ignore[no-untyped-call]
        return [json.loads(answer.body)["status"] for answer in answers]

    assert asyncio.run(read()) == ["unpaid", "unpaid"]
    assert sim.count("GET", "/v1/subscriptions/.*") == 2
    assert sim.calls[0].path == f"/v1/subscriptions/{sub['id']}"


def test_answers_carry_date_and_request_id(sim: StripeSim, url: str) -> None:
    """Every answer says when it was given, by the account's clock, and its request id."""
    answer = httpx.get(f"{url}/v1/balance", headers={"Authorization": "Bearer sk_test_fake"})
    assert answer.headers.get_list("date") == ["Fri, 06 Nov 2026 21:20:00 GMT"]
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == stripe.api_version


def test_a_key_is_taken_as_curl_sends_it(url: str) -> None:
    """`curl -u sk_test_...:` works as it does at Stripe: the key as user, no password; nothing else is a key."""
    assert httpx.get(f"{url}/v1/balance", auth=("sk_test_fake", "")).status_code == 200
    assert httpx.get(f"{url}/v1/balance", auth=("sk_test_other", "")).status_code == 401
    for given in ("Basic", "Basic sk_test_fake", "Basic /w==", "sk_test_fake", "Digest sk_test_fake"):
        assert httpx.get(f"{url}/v1/balance", headers={"Authorization": given}).status_code == 401, given


def test_seeded_account_is_walked_by_pages(sim: StripeSim, client: stripe.StripeClient) -> None:
    """Seeded subscriptions come without events, each with a paid latest invoice, and page like any other."""
    told = len(sim.events)
    made = sim.seed_many(250, "price_basic_monthly")
    assert len(sim.events) == told
    pages = client.v1.subscriptions.list({"status": "all", "limit": 100, "expand": ["data.latest_invoice"]})
    seen = list(pages.auto_paging_iter())
    assert [sub.id for sub in seen] == made[::-1]
    assert all(sub.latest_invoice.status == "paid" for sub in seen)  # type: ignore[union-attr]
