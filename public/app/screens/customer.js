/** One customer: why everything is as it is, what happened, and what can be done. */

import { html, useRef } from "/app/markup.js";
import { useData } from "/app/parts/data.js";
import { Id } from "/app/parts/id.js";
import { Empty, Failure, Loading } from "/app/parts/notice.js";
import { Time } from "/app/parts/time.js";
import { Badge, Remedy } from "/app/parts/words.js";
import { words } from "/app/format.js";
import { Acts } from "/app/screens/customer/acts.js";
import { Both } from "/app/screens/customer/both.js";
import { Orders } from "/app/screens/customer/orders.js";
import { Services } from "/app/screens/customer/services.js";
import { Timeline } from "/app/screens/customer/timeline.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one;

/** @param {{params: {id: string, planned?: string}, dashboard: any}} props */
export default function Customer({ params, dashboard }) {
  const query = { id: params.id, limit: 50, planned: params.planned };
  const found = useData(params.id ? "/api/admin/customers" : null, query);
  const live = useData(params.id ? "/api/admin/customers" : null, { id: params.id, limit: 1, live: true }, { poll: false });
  const last = useRef(null); // stays while the same customer is read with what was only planned, or without
  if (!params.id) return html`<${Empty} says=${said.services.none} next=${texts.frame.unknownNext} />`;
  if (found.data) last.current = { customer: found.data, planned: params.planned };
  if (!last.current) return found.problem ? html`<${Failure} what=${said.what} problem=${found.problem} again=${found.reload} />` : html`<${Loading} />`;
  const { customer, planned } = last.current;
  const reload = () => {
    found.reload();
    live.reload();
    dashboard.reload();
  };
  return html`
    <${Header} customer=${named(customer, live.data?.explanation?.truth)} links=${dashboard.data?.links} />
    <div class="stack">
      ${found.problem && html`<${Failure} what=${said.what} problem=${found.problem} again=${found.reload} />`}
      <${Standing} queue=${customer.queue} />
      <${Both} live=${live} queue=${customer.queue}>
        <${Acts} customer=${customer} reload=${reload} />
      </${Both}>
      <${Services} customer=${customer} links=${dashboard.data?.links} reload=${reload} />
      <div class="two wide-left">
        <${Timeline} customer=${customer} planned=${planned} params=${params} reload=${reload} />
        <${Orders} customer=${customer} />
      </div>
    </div>
  `;
}

/** Somebody who is not remembered yet is called as Stripe calls them. */
const named = (customer, truth) => ({ ...customer, email: customer.email ?? truth?.email ?? null, name: customer.name ?? truth?.name ?? null });

function Header({ customer, links }) {
  const { panel } = customer;
  const stripe = customer.provider === "stripe" && links?.stripe ? `${links.stripe}/customers/${customer.customerId}` : null;
  return html`
    <div class="head person">
      <h1>${customer.erased ? texts.customers.erased : (customer.email ?? customer.name ?? customer.customerId)}</h1>
      ${customer.email && customer.name && html`<span class="soft">${customer.name}</span>`}
      <div class="ids">
        <${Id} value=${customer.customerId} what=${said.id} url=${stripe} at=${said.atStripe} />
        ${panel.orgId && html`<${Id} value=${panel.orgId} what=${said.org} url=${links?.panel && `${links.panel.replace(/\/$/, "")}/customers/${panel.orgId}`} at=${said.inPanel} />`}
      </div>
    </div>
  `;
}

const STANDS = { parked: "bad", waiting: "info", due: "info", working: "info" };

/** How the queue stands with them; nothing where nothing is to be done. */
function Standing({ queue }) {
  if (!queue) return null;
  const line = queue.state === "waiting" ? said.standing.waiting(words(queue.waitsFor ?? "")) : said.standing[queue.state];
  return html`
    <div class=${`notice ${queue.lastError && queue.state !== "parked" ? "warn" : STANDS[queue.state]}`}>
      <p><strong>${line}</strong> ${queue.reason && html`<${Badge} word=${queue.reason} tone="bad" />`} ${queue.parkedAt && html`<span class="soft"><${Time} at=${queue.parkedAt} /></span>`}</p>
      ${queue.problems.map((problem) => html`<p key=${problem.detail}>${problem.detail}<br />${problem.remedy} <${Remedy} reason=${problem.reason} /></p>`)}
      ${queue.lastError && !queue.problems.length && html`<p>${queue.lastError}</p>`}
      <p class="soft">${[queue.attempts > 0 && said.standing.failing(queue.attempts)].filter(Boolean).join()}${queue.dueAt && html` ${queue.state === "waiting" && !queue.lastError ? said.standing.goesOn : said.standing.next} <${Time} at=${queue.dueAt} />`}</p>
    </div>
  `;
}
