/** The queue. */

import { plural } from "/app/texts/shared.js";

export const work = {
  what: "Reading the queue",
  caption: { parked: "Waits for a person", failing: "Failed last, and is tried again by itself", braked: "Kept as it is by a brake", due: "Due now", waiting: "Waits by itself", working: "Under way", upcoming: "Suspended or deleted soon" },
  tabs: { label: "Parts of the queue", parked: "Parked", failing: "Failing", braked: "Braked", due: "Due", waiting: "Waiting", working: "Working", upcoming: "Upcoming" },
  columns: {
    subject: "Who",
    reason: "Reason",
    detail: "Detail",
    attempts: "Attempt",
    next: "Next try",
    since: "Since",
  },
  turns: { due: "has its turn before it", working: "under way" },
  filters: { reason: "Reason" },
  period: { label: "Days", days: (count) => plural(count, "day", "days") },
  empty: {
    parked: "Nobody waits for a person.",
    failing: "No pass has failed.",
    braked: "No brake keeps anybody.",
    due: "Nothing is due: every pass has come to rest.",
    waiting: "Nothing waits.",
    working: "No pass is under way just now.",
    upcoming: "Nobody is suspended or deleted in this time.",
  },
  emptyNext: {
    parked: "Who can't go on without you stands here, with what to do. What failed or waits by itself has tabs of its own.",
    failing: "What fails is tried again by itself, ever more seldom; what was given up on is parked.",
    braked: "A brake stops mass suspensions, deletions and moves. Its limits stand on the overview, under Machine.",
    due: "The queue fills by itself when something happens at Stripe.",
    working: "Look at what is due: it is begun within a minute.",
    waiting: "Dates to come, such as the end of a grace, stand here.",
  },
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
