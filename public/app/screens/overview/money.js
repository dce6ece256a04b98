/** What of the money side is not as it should be, each with a link to whom it is about. */

import { count, money } from "/app/format.js";
import { html } from "/app/markup.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const said = texts.overview.money;
const COUNTED = { disputed: "openDisputes" }; // also those of no order
const LISTS = ["notLive", "disputed", "openOffline"]; // as the orders' tabs are called

/** @param {{orders: any}} props of the dashboard */
export function Money({ orders }) {
  return html`
    <section class="card">
      <header><h2>${said.title}</h2></header>
      <div class="body">
        <dl class="facts numbers">
          ${LISTS.map((name) => html`
            <dt key=${name}><a href=${href({ view: "orders", only: name })}>${said[name]}</a></dt>
            <dd class=${name === "notLive" && orders.notLive ? "fault" : ""}>${count(orders[COUNTED[name] ?? name])}${name === "openOffline" && orders.overdue > 0 && ` (${said.overdue(orders.overdue)})`}</dd>
          `)}
          <${Sums} label=${said.missing} sums=${orders.missing} exponents=${orders.exponents} />
          <${Sums} label=${said.toReturn} sums=${orders.toReturn} exponents=${orders.exponents} only="overpaid" />
        </dl>
      </div>
    </section>
  `;
}

function Sums({ label, sums, exponents, only }) {
  const amounts = Object.entries(sums).map(([currency, amount]) => money(amount, currency, exponents[currency]));
  if (!amounts.length) return null;
  return html`<dt>${only ? html`<a href=${href({ view: "orders", only })}>${label}</a>` : label}</dt><dd>${amounts.join(" + ")}</dd>`;
}
