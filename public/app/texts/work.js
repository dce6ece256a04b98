/** The queue. */

import { plural } from "/app/texts/shared.js";

export const work = {
  what: "Reading the queue",
  caption: { parked: "Waits for a person", due: "Due now", waiting: "Waits by itself", working: "Under way", upcoming: "Suspended or deleted soon" },
  tabs: { label: "Parts of the queue", parked: "Parked", due: "Due", waiting: "Waiting", working: "Working", upcoming: "Upcoming" },
  columns: {
    subject: "Who",
    reason: "Reason",
    detail: "Detail",
    attempts: "Attempt",
    next: "Next try",
    parked: "Parked",
    waits: "Waits for",
    error: "Last error",
  },
  filters: { reason: "Reason" },
  period: { label: "Days", days: (count) => plural(count, "day", "days") },
  empty: {
    parked: "Nobody waits for a person.",
    due: "Nothing is due: every pass has come to rest.",
    waiting: "Nothing waits.",
    working: "No pass is under way just now.",
    upcoming: "Nobody is suspended or deleted in this time.",
  },
  emptyNext: "The queue fills by itself when something happens at Stripe.",
  acts: {
    title: "All that match",
    all: "all of the queue",
    retry: {
      label: "Retry all",
      title: "Retry all that match",
      says: "Each of them gets a pass now. A pass changes only what is different.",
      go: (count) => `Retry ${count}`,
      what: "Retrying",
    },
    release: {
      label: "Release all",
      title: "Release all that match",
      says: "What waits for a person's word goes on for each of them. Of what is no hosting any more, the end is confirmed.",
      go: (count) => `Release ${count}`,
      what: "Releasing",
    },
    lift: {
      label: "Lift all",
      title: "Lift this hold for all",
      says: {
        admin: "What an operator holds is let go, for everybody; what is paid for runs again.",
        dispute: "The disputes that there are now are waived for everybody who is held for one; later ones hold again.",
        refund: "The refunds that there are now are waived for everybody who is held for one; later ones hold again.",
      },
      go: (count) => `Lift ${count}`,
      what: "Lifting",
    },
    amnesty: {
      label: "Grace for all unpaid",
      title: "Grace for everybody who is unpaid",
      says: "For a bank's outage: everybody held for non-payment is switched on, and everybody in a running grace stays on, until the date. It ends by itself.",
      until: "On until",
      go: (count) => `Give grace to ${count}`,
      what: "Giving grace",
    },
    amnestyBack: {
      label: "Take grace back from all",
      title: "Take grace back from everybody who is unpaid",
      says: "Dates that were given to all no longer count: whose own grace is over is switched off now. A date that one customer was promised alone stays.",
      go: (count) => `Take grace back from ${count}`,
      what: "Taking grace back",
    },
  },
};
