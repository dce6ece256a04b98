/** Orders: what was sold and what became of its money, each with all its numbers; and what is done to them by hand. */

import { day } from "/app/format.js";
import { html } from "/app/markup.js";
import { shown, unlessZero } from "/app/screens/orders/amounts.js";
import { Create } from "/app/screens/orders/create.js";
import { Details, State } from "/app/screens/orders/details.js";
import { Reconciliation } from "/app/screens/orders/reconciliation.js";
import { useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Table } from "/app/parts/table.js";
import { Tabs } from "/app/parts/tabs.js";
import { Time } from "/app/parts/time.js";
import { href } from "/app/router.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { orders as say } from "/app/texts/orders.js";

const PATH = "/api/admin/orders";
const FLAGS = ["notLive", "openOffline", "overpaid", "disputed"]; // tabs that are filters of the API by the same name
const FIELDS = [
  { name: "from", label: say.filters.from, period: true },
  { name: "state", label: say.filters.state, options: say.states },
  { name: "provider", label: say.filters.provider, options: say.providers },
  { name: "email", label: say.filters.email, hint: "ada@…" },
  { name: "customer", label: say.filters.customer, hint: "cus_…" },
  { name: "reference", label: say.filters.reference, hint: "RF…" },
  { name: "to", label: say.filters.to, hint: say.filters.toHint },
];

/** The screen: `?id=` is one order, `?only=` one of the tabs. */
export default function Orders({ params, go, dashboard }) {
  if (params.id) return html`<${Details} key=${params.id} id=${params.id} links=${dashboard?.data?.links} />`;
  const only = params.only in say.tabs ? params.only : "all";
  const tabs = Object.entries(say.tabs).map(([key, label]) => ({ key, label, count: countOf(key, dashboard?.data), params: { view: "orders", only: key === "all" ? undefined : key } }));
  return html`
    <div class="head"><h1>${say.title}</h1><${Create} done=${(order) => go({ view: "orders", id: order.id })} /></div>
    <section class="card">
      <${Tabs} label=${say.views} tabs=${tabs} current=${only} />
      ${only === "reconciliation" ? html`<${Reconciliation} params=${params} />` : html`<${All} key=${only} params=${params} only=${only} />`}
    </section>
  `;
}

/** What the dashboard counts of a tab. */
const countOf = (key, dashboard) => ({ notLive: dashboard?.orders.notLive, openOffline: dashboard?.orders.openOffline, disputed: dashboard?.orders.disputed })[key];

function All({ params, only }) {
  const query = { ...Object.fromEntries(FIELDS.map(({ name }) => [name, params[name]])), ...(FLAGS.includes(only) ? { [only]: true } : {}) };
  const list = useList(PATH, query);
  const how = useStore(times);
  const named = activeOf(FIELDS, params);
  const [says, next] = say.empty[only];
  return html`
    <${Filters} fields=${FIELDS} params=${params} />
    <div class="bar"><span class="space"></span><${Shown} list=${list} /><${Download} path=${PATH} query=${query} name="orders.csv" /></div>
    <${List} list=${list} what=${say.reading} empty=${{ says, next: named.length ? say.empty.filtered : next, filters: named, params: without(FIELDS, params) }}>
      <${Table} caption=${say.caption} quiet columns=${COLUMNS.filter((column) => !column.of || (list.rows ?? []).some((order) => order[column.of]))} rows=${list.rows ?? []} id=${(order) => order.id} sortable=${false} group=${(order) => day(order.createdAt, how)} />
    <//>
  `;
}

const said = say.columns;
// With `of`: shown only where an order on the page has something there.
const COLUMNS = [
  { key: "whom", label: said.whom, main: true, cell: (order) => html`<a href=${href({ view: "orders", id: order.id })}>${order.email ?? order.name ?? order.customerId ?? say.nobody}</a>` },
  { key: "state", label: said.state, cell: (order) => html`<${State} order=${order} />` },
  { key: "amount", label: said.amount, number: true, cell: (order) => shown(order.total ?? order.amount, order) },
  { key: "what", wide: true, label: said.what, cell: (order) => html`${say.quantity(order.quantity, order.billingPlanId ?? "")} ${order.provider !== "stripe" ? html`<span class="soft">${say.providers[order.provider]} ${order.reference ?? ""}</span>` : null}` },
  { key: "missing", of: "missing", label: said.missing, number: true, cell: (order) => unlessZero(order.missing, order) },
  { key: "overpaid", of: "overpaid", label: said.overpaid, number: true, cell: (order) => unlessZero(order.overpaid, order) },
  { key: "refunded", of: "refunded", label: said.refunded, number: true, cell: (order) => unlessZero(order.refunded, order) },
  { key: "at", label: said.at, cell: (order) => html`<${Time} at=${order.createdAt} />` },
  { key: "due", of: "dueAt", label: said.due, cell: (order) => html`<${Time} at=${order.dueAt} />` },
];
