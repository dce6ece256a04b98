"""What each word of the queue means, and what to do about it: shown beside it, and made into `docs/reasons.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits, in words for operators."""

    means: str
    """What has happened."""
    remedy: str
    """What to do about it."""


REASONS: Mapping[str, Reason] = {
    "unmapped_price": Reason(
        "a price of theirs has no row in plan_mappings, or an add-on none in plan_rules",
        "Add a row to plan_mappings (kind 'ignore' if it means nothing) or plan_rules; it runs by itself.",
    ),
    "plan_not_found": Reason(
        "a mapping names a plan that the panel does not have",
        "Correct enhance_plan_id in plan_mappings (the plan's id, or its exact name), or create the plan in the panel.",
    ),
    "plan_ambiguous": Reason(
        "two plans in the panel have the name that a mapping names",
        "Two plans in the panel have this name: write the plan's id into plan_mappings.",
    ),
    "no_email": Reason(
        "the Stripe customer has no e-mail, so no login can be made", "Add an e-mail address to the customer in Stripe."
    ),
    "invalid_domain": Reason(
        "what was typed as domain is none", "Correct metadata.domain of the subscription in Stripe."
    ),
    "domain_in_use": Reason(
        "another website in the panel has this domain; the detail names the customer, if it is another one of yours",
        "The domain is on another site of the panel: free it there, or set another metadata.domain.",
    ),
    "same_domain_purchase": Reason(
        "two live subscriptions of one customer name one domain; the detail names both",
        "Cancel one of the two in Stripe (the website goes to the other by itself), or set another domain.",
    ),
    "website_held": Reason(
        "bought again, and the website's ended hosting is held by an admin, or was suspended in the panel",
        "The ended service is held: lift it, here or in the panel, and its website goes to the new one.",
    ),
    "website_too_big": Reason(
        "bought again, and the website needs more than the new plan allows; the numbers are in the detail",
        "Have it reduced, or change the plan in Stripe, then retry; or move the website in the panel, then retry.",
    ),
    "domain_reserved": Reason(
        "a deleted website still holds this domain",
        "A deleted website still holds the domain: purge or restore it in the panel, then retry.",
    ),
    "domain_prohibited": Reason(
        "the panel does not allow this domain", "The panel forbids the domain: set another metadata.domain in Stripe."
    ),
    "login_not_found": Reason(
        "the panel says that the login exists, and lists it nowhere",
        "Look among the panel's deleted customers: restore or purge the login's, then retry.",
    ),
    "panel_deleted": Reason(
        "hosting that should be there was deleted in the panel by hand; it is never made again by itself",
        "It was deleted in the panel: restore it there and retry, or use recreate.",
    ),
    "panel_refused": Reason(
        "the panel declined, with its words in the detail",
        "The panel refused the call: read its words, mend it there, then retry.",
    ),
    "panel_not_found": Reason(
        "the panel does not find what we remember, with its words in the detail",
        "The panel does not find what we remember: look there, then retry.",
    ),
    "panel_org_closed": Reason(
        "the token works, but may not look at the customer's organisation",
        "The token may not look at their organisation: was it moved to another reseller, or wiped, in the panel?",
    ),
    "ambiguous_org": Reason(
        "two organisations carry our mark for one customer",
        "Two organisations carry the mark of one customer: delete the empty one in the panel, then retry.",
    ),
    "duplicate_in_panel": Reason(
        "two hosting subscriptions carry our mark for one service",
        "Two hosting subscriptions carry one mark: delete the surplus one in the panel, then retry.",
    ),
    "downgrade_blocked": Reason(
        "they use more than the smaller plan allows; the numbers are in the detail",
        "Have them clean up, then retry; or change the plan back in Stripe.",
    ),
    "double_purchase": Reason(
        "a second live subscription to the same price, with ON_DOUBLE_PURCHASE=hold",
        "Bought twice: release it, or refund and cancel one of the two in Stripe.",
    ),
    "never_paid": Reason(
        "active, but its first invoice was voided or written off: nobody paid, so nothing was made",
        "Release it, if it is to be made all the same; or cancel the subscription in Stripe.",
    ),
    "only_drafts_left": Reason(
        "unpaid at Stripe although every final invoice is paid: only drafts are left",
        "Finalize the drafts in Stripe and have them paid, or delete them.",
    ),
    "mapping_changed": Reason(
        "by plan_mappings, what they pay for is not hosting any more (ignore, addon, no row); it is kept as it is",
        "Put the mapping right; or release it, if that hosting is to end: nothing ends before.",
    ),
    "quantity_unusual": Reason(
        "a quantity above QUANTITY_MAX; what is there stays, the rest is not made",
        "Correct the quantity in Stripe, or release it: then so many are made.",
    ),
    "unknown_customer": Reason(
        "Stripe does not know a customer whom we remember: another account or mode; nothing was changed",
        "Stripe denies a customer we know: is STRIPE_SECRET_KEY of the same account and mode?",
    ),
    "unknown_subscription": Reason(
        "Stripe does not know a subscription that we remember: another account or mode; nothing was changed",
        "Stripe denies a subscription we know: is STRIPE_SECRET_KEY of the same account and mode?",
    ),
    "unknown_status": Reason(
        "Stripe has a new subscription status; nothing was changed",
        "Stripe uses a status that this version does not know: update the product.",
    ),
    "panel_conflict": Reason(
        "the panel says that such a thing exists already; the detail says which",
        "The panel says that it exists already: look there, then retry.",
    ),
    "stripe_not_found": Reason(
        "Stripe does not know an object that it named itself, with its words in the detail",
        "Stripe does not know the object: is STRIPE_SECRET_KEY of the same account and mode?",
    ),
    "stripe_refused": Reason(
        "Stripe declined a read, with its words in the detail",
        "Run ./scripts/doctor; if it finds nothing, open an issue with Stripe's words.",
    ),
    "no_progress": Reason(
        "a change was made, and the same one is called for again in the same pass",
        "A change was made and is called for again: compare both sides with explain, then retry.",
    ),
    "gave_up": Reason(
        "it failed for more than a day; the last error is in the detail",
        "It failed again and again: read the last error, mend its cause, then retry.",
    ),
}
"""Why a customer can be parked, in the order of the operators' page."""

REFUSALS: Mapping[str, Reason] = {
    "stripe_key": Reason(
        "Stripe refuses the key, or it lacks a permission",
        "Run ./scripts/doctor: it names the permission. See step 2 of docs/deploy.md.",
    ),
    "panel_token": Reason(
        "the panel refuses the token: its role, its expiry, or the address it is used from",
        "Make a new token, or correct its list of addresses. See step 3 of docs/deploy.md.",
    ),
    "panel_org": Reason(
        "ENHANCE_ORG_ID is deleted, unknown, or not above the customer's organisation",
        "Correct ENHANCE_ORG_ID (step 3 of docs/deploy.md); or was that organisation moved to another reseller?",
    ),
    "panel_url": Reason("the panel answers with a redirect instead of an answer", "Correct ENHANCE_API_URL."),
}
"""What the settings are to blame for: it begins the last error, and parks nobody."""

WAITS: Mapping[str, Reason] = {
    "first_payment": Reason(
        "the first invoice is not paid; Stripe calls the subscription incomplete", "Nothing: it runs once it is paid."
    ),
    "settlement": Reason(
        "the money of a bank debit or an invoice has not arrived yet",
        "Nothing: it runs once it arrives. activate_on=processing in plan_mappings waits for no debit under way.",
    ),
    "change_waits_for_payment": Reason(
        "another plan was chosen, and the invoice that bills the change is open; the present plan stays",
        "Nothing: the plan changes once it is paid.",
    ),
    "domain_differs": Reason(
        "metadata.domain was changed after the website was made, which keeps its domain; nobody is parked for it",
        "Change the domain in the panel, or set metadata.domain back. The dashboard lists all: domainsDiffer.",
    ),
    "website_waited_for": Reason(
        "this hosting has ended, and its website is kept because a purchase of the same customer waits for it",
        "See why that purchase waits; the website then goes over by itself.",
    ),
    "brake": Reason(
        "the brake is on: a suspension or termination of theirs is due and not made",
        "Look at who waits, then releaseBrake.",
    ),
    "website_turn": Reason("another website is being created just now; the panel makes one at a time", "Nothing."),
    "in_grace": Reason(
        "unpaid, and grace is not over: the date is grace_until", "Nothing; or set another date with grace."
    ),
    "in_one_off_grace": Reason(
        "unpaid, and on until the date that an admin set", "Nothing; grace with null takes the date back."
    ),
    "more_to_do": Reason("one pass made as many changes as it may; the next one goes on at once", "Nothing."),
    "time": Reason("this invocation had no time left; the next one goes on", "Nothing."),
}
"""What a service or a row of the queue waits for by itself."""


def remedy(reason: str) -> str:
    """What to do about `reason`."""
    known = REASONS.get(reason)
    return known.remedy if known else "Read the detail, mend its cause, then retry."
