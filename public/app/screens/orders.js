/** Orders: what was sold and what became of its money, each with all its numbers; and what is done to them by hand. */

import { html } from "/app/markup.js";
import { Create } from "/app/screens/orders/create.js";
import { Details } from "/app/screens/orders/details.js";
import { DisputeList } from "/app/screens/orders/disputes.js";
import { OrderList } from "/app/screens/orders/list.js";
import { Reconciliation } from "/app/screens/orders/reconciliation.js";
import { Tabs } from "/app/parts/tabs.js";
import { orders as say } from "/app/texts/orders.js";

const COUNTED = { notLive: "notLive", openOffline: "openOffline", disputed: "openDisputes" }; // tab -> what the dashboard counts of it
const LISTS = { disputed: DisputeList, reconciliation: Reconciliation }; // the others list orders

/** The screen: `?id=` is one order, `?only=` one of the tabs. */
export default function Orders({ params, go, dashboard }) {
  const links = dashboard?.data?.links;
  if (params.id) return html`<${Details} key=${params.id} params=${params} links=${links} />`;
  const only = Object.hasOwn(say.tabs, params.only) ? params.only : "all";
  const numbers = dashboard?.data?.orders;
  const tabs = Object.entries(say.tabs).map(([key, label]) => ({ key, label, count: numbers?.[COUNTED[key]], params: { view: "orders", only: key === "all" ? undefined : key } }));
  return html`
    <div class="head"><h1>${say.title}</h1><${Create} done=${(order) => go({ view: "orders", id: order.id })} /></div>
    <section class="card">
      <${Tabs} label=${say.views} tabs=${tabs} current=${only} />
      ${numbers?.kept === false && html`<div class="notice info inset"><p>${say.notKept}</p></div>`}
      <${LISTS[only] ?? OrderList} key=${only} params=${params} only=${only} links=${links} />
    </section>
  `;
}
