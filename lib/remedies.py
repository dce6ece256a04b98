"""What to do about each reason for which a customer can be parked; shown beside it, and in the README."""

from __future__ import annotations

REMEDIES = {
    "unmapped_price": "Add a row for the price to plan_mappings (or plan_rules); it runs by itself.",
    "plan_not_found": "Correct enhance_plan_id in plan_mappings: the plan's id, or its exact name in the panel.",
    "plan_ambiguous": "Two plans in the panel have this name: write the plan's id into plan_mappings.",
    "no_email": "Add an e-mail address to the customer in Stripe.",
    "invalid_domain": "Correct metadata.domain of the subscription in Stripe.",
    "domain_in_use": "The domain is on another site of the panel: free it there, or set another metadata.domain.",
    "same_domain_purchase": "Cancel one of the two in Stripe (the website goes to the other), or set another domain.",
    "website_held": "The ended service is held: lift it, here or in the panel, and its website goes to the new one.",
    "website_too_big": "The website needs more than the new plan allows: reduce it or change the plan, then retry.",
    "domain_reserved": "A deleted website still holds the domain: purge or restore it in the panel, then retry.",
    "domain_prohibited": "The panel forbids the domain: set another metadata.domain in Stripe.",
    "login_not_found": "The panel knows the e-mail and lists it nowhere: look among its deleted customers.",
    "panel_deleted": "It was deleted in the panel: restore it there and retry, or use recreate.",
    "panel_refused": "The panel refused the call: read its words, mend it there, then retry.",
    "panel_not_found": "The panel does not find what we remember: look there, then retry.",
    "panel_org_closed": "The token may not look at their organisation: was it moved or wiped in the panel?",
    "ambiguous_org": "Two organisations carry the mark of one customer: delete the empty one in the panel, then retry.",
    "duplicate_in_panel": "Two hosting subscriptions carry one mark: delete the surplus one in the panel, then retry.",
    "downgrade_blocked": "The customer uses more than the smaller plan allows: have it reduced, then retry.",
    "double_purchase": "Bought twice: release it, or refund and cancel one of the two in Stripe.",
    "unknown_customer": "Stripe denies a customer we know: is STRIPE_SECRET_KEY of the same account and mode?",
    "mapping_changed": "Put the mapping right; or release it, if that hosting is to end: nothing ends before.",
    "quantity_unusual": "Correct the quantity in Stripe, or release it: then so many are made.",
    "unknown_subscription": "Stripe denies a subscription we know: is STRIPE_SECRET_KEY of the same account and mode?",
    "unknown_status": "Stripe uses a status that this version does not know: update the product.",
    "panel_conflict": "The panel says that it exists already: look there, then retry.",
    "stripe_not_found": "Stripe does not know the object: is STRIPE_SECRET_KEY of the same account and mode?",
    "stripe_refused": "Stripe refused the call: read its words, mend it there, then retry.",
    "no_progress": "A change was made and is called for again: compare both sides with explain, then retry.",
    "gave_up": "It failed again and again: read the last error, mend its cause, then retry.",
}
"""Parked reason -> remedy, in the words of the operators' page."""


def remedy(reason: str) -> str:
    """What to do about `reason`."""
    return REMEDIES.get(reason, "Read the detail, mend its cause, then retry.")
