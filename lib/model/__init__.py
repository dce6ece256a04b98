"""The nouns: what Stripe says (truth), what we remember (memory), what the panel has (actual), and the verbs between.

Words: *subscription* is Stripe's, *service* is one hosting subscription that we answer for, *panel subscription* is the
panel's own record of it. Times are aware UTC datetimes, money is integer minor units.
"""

from typing import TYPE_CHECKING

from lib.lazily import lazily

if TYPE_CHECKING:
    from lib.model.action import (
        Action,
        ActionKind,
        AddOwner,
        ChangePlan,
        CreateLogin,
        CreateOrg,
        CreateSubscription,
        CreateWebsite,
        CustomerAction,
        Given,
        HardDelete,
        Intent,
        Mark,
        MoveWebsite,
        RenameOrg,
        Resume,
        SendWelcome,
        ServiceAction,
        Subject,
        Suspend,
        Terminate,
        recalled,
    )
    from lib.model.catalogue import Catalogue, PlanMapping, PlanRule
    from lib.model.customer_key import CustomerKey
    from lib.model.decision import Decided, Decision, Goal, Problem, Question, Read, Wait, Want, Wanted
    from lib.model.event import ReceivedEvent
    from lib.model.facts import Clock, Facts
    from lib.model.memory import Memory
    from lib.model.outcome import Failed, Outcome, Parked, Settled, Settlement, Waits
    from lib.model.panel import Actual, PanelPlan, PanelSubscription, Resource
    from lib.model.queue import Claim, Lane, Mandate, Nudge, Priority
    from lib.model.service import Hold, Service, ServiceKey, ServiceState
    from lib.model.stripe import Dispute, Invoice, Item, Line, Payer, Refund, Subscription
else:
    # A module is loaded by the first who imports a name of it: a webhook needs few of them.
    __getattr__ = lazily(
        __name__,
        action=(
            "Action ActionKind AddOwner ChangePlan CreateLogin CreateOrg CreateSubscription CreateWebsite"
            " CustomerAction Given HardDelete Intent Mark MoveWebsite RenameOrg Resume SendWelcome ServiceAction"
            " Subject Suspend Terminate recalled"
        ),
        catalogue="Catalogue PlanMapping PlanRule",
        customer_key="CustomerKey",
        decision="Decided Decision Goal Problem Question Read Wait Want Wanted",
        event="ReceivedEvent",
        facts="Clock Facts",
        memory="Memory",
        outcome="Failed Outcome Parked Settled Settlement Waits",
        panel="Actual PanelPlan PanelSubscription Resource",
        queue="Claim Lane Mandate Nudge Priority",
        service="Hold Service ServiceKey ServiceState",
        stripe="Dispute Invoice Item Line Payer Refund Subscription",
    )

__all__ = [
    "Action",
    "ActionKind",
    "Actual",
    "AddOwner",
    "Catalogue",
    "ChangePlan",
    "Claim",
    "Clock",
    "CreateLogin",
    "CreateOrg",
    "CreateSubscription",
    "CreateWebsite",
    "CustomerAction",
    "CustomerKey",
    "Decided",
    "Decision",
    "Dispute",
    "Facts",
    "Failed",
    "Given",
    "Goal",
    "HardDelete",
    "Hold",
    "Intent",
    "Invoice",
    "Item",
    "Lane",
    "Line",
    "Mandate",
    "Mark",
    "Memory",
    "MoveWebsite",
    "Nudge",
    "Outcome",
    "PanelPlan",
    "PanelSubscription",
    "Parked",
    "Payer",
    "PlanMapping",
    "PlanRule",
    "Priority",
    "Problem",
    "Question",
    "Read",
    "ReceivedEvent",
    "Refund",
    "RenameOrg",
    "Resource",
    "Resume",
    "SendWelcome",
    "Service",
    "ServiceAction",
    "ServiceKey",
    "ServiceState",
    "Settled",
    "Settlement",
    "Subject",
    "Subscription",
    "Suspend",
    "Terminate",
    "Wait",
    "Waits",
    "Want",
    "Wanted",
    "recalled",
]
