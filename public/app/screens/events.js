/** Events: what came in from Stripe, what goes out to the operator's own systems, and the ledger. */

import { Ledger } from "/app/screens/events/ledger.js";
import { Outgoing } from "/app/screens/events/outgoing.js";
import { Received } from "/app/screens/events/received.js";
import { html } from "/app/markup.js";
import { Tabs } from "/app/parts/tabs.js";
import { events as say } from "/app/texts/events.js";

const DIRECTIONS = { in: Received, out: Outgoing, ledger: Ledger };

/** The screen; `?direction=` says which list, each with filters of its own; `?id=` is an event, wherever it is linked from. */
export default function Events({ params: { id, ...given } }) {
  const params = id ? { ...given, sel: id } : given;
  const direction = Object.hasOwn(DIRECTIONS, params.direction) ? params.direction : "in";
  const tabs = Object.entries(say.directions).map(([key, label]) => ({ key, label, params: { view: "events", direction: key === "in" ? undefined : key } }));
  return html`
    <div class="head"><h1>${say.title}</h1></div>
    <section class="card">
      <${Tabs} label=${say.tabs} tabs=${tabs} current=${direction} />
      <${DIRECTIONS[direction]} key=${direction} params=${params} />
    </section>
  `;
}
