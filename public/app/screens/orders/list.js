/** The lists of orders: all, and those of which something is not as it should be; the chosen one's JSON beside them. */

import { day } from "/app/format.js";
import { html } from "/app/markup.js";
import { shown, unlessZero } from "/app/screens/orders/amounts.js";
import { State } from "/app/screens/orders/details.js";
import { Invoice, Why, WhyAll } from "/app/screens/orders/notlive.js";
import { JsonBeside } from "/app/parts/beside.js";
import { useData, useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Pick } from "/app/parts/pick.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { CustomerLink } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";
import { orders as say } from "/app/texts/orders.js";

const PATH = "/api/admin/orders";
const FLAGS = ["notLive", "openOffline", "overpaid"]; // tabs that are filters of the API by the same name
const FIELDS = [
  { name: "from", label: say.filters.from, period: true },
  { name: "state", label: say.filters.state, options: say.states },
  { name: "provider", label: say.filters.provider, options: say.providers },
  { name: "email", label: say.filters.email, hint: "ada@…" },
  { name: "customer", label: say.filters.customer, hint: "cus_…" },
  { name: "reference", label: say.filters.reference, hint: "RF…" },
  { name: "to", label: say.filters.to, hint: say.filters.toHint },
];

/** @param {{params: Record<string, string>, only: string, links: {stripe: string}|undefined}} props `only`: the tab */
export function OrderList({ params, only, links }) {
  const query = { ...Object.fromEntries(FIELDS.map(({ name }) => [name, params[name]])), ...(FLAGS.includes(only) ? { [only]: true } : {}) };
  const list = useList(PATH, query);
  const how = useStore(times);
  const rows = list.rows ?? [];
  const named = activeOf(FIELDS, params);
  const [says, next] = say.empty[only];
  const grouped = only === "notLive" && !params.sort;
  const columns = only === "notLive" ? notLive(params, links, grouped) : every(params, rows);
  return html`
    <${Filters} fields=${FIELDS} params=${params} />
    <div class="bar"><span class="space"></span><${Shown} list=${list} /><${Download} path=${PATH} query=${query} name="orders.csv" /></div>
    <div class=${params.sel ? "split" : ""}>
      <div>
        <${List} list=${list} what=${say.reading} empty=${{ says, next: named.length ? say.empty.filtered : next, filters: named, params: without(FIELDS, params) }}>
          <${Table} caption=${say.captions[only] ?? say.caption} quiet columns=${columns} rows=${grouped ? byReason(rows) : rows} id=${(order) => order.id} selected=${params.sel} params=${params} group=${grouped ? reasonOf : (order) => day(order.createdAt, how)} heading=${grouped ? WhyAll : undefined} />
        <//>
      </div>
      ${params.sel && !list.loading && html`<${One} key=${params.sel} id=${params.sel} params=${params} />`}
    </div>
  `;
}

/** The chosen order, with its payments, refunds, disputes and steps. */
function One({ id, params }) {
  const found = useData(PATH, { id }, { poll: false });
  return html`<${JsonBeside} title=${say.columns.order} what=${say.facts.id} id=${id} params=${params} open=${{ view: "orders", id }} of=${found} reading=${say.readingOne} />`;
}

const said = say.columns;
const nameOf = (order) => order.email ?? order.customerEmail ?? order.name ?? order.customerId ?? say.nobody;
const whom = { key: "whom", label: said.whom, main: true, sort: nameOf, cell: (order) => html`<a href=${href({ view: "orders", id: order.id })}>${nameOf(order)}</a>` };
const amount = { key: "amount", label: said.amount, number: true, sort: (order) => order.total ?? order.amount, cell: (order) => shown(order.total ?? order.amount, order) };
const json = (params) => ({ key: "json", label: texts.json.show, cell: (order) => html`<${Pick} id=${order.id} params=${params} label=${texts.json.of(nameOf(order))}>${texts.json.show}<//>` });

/** With `of`: shown only where an order on the page has something there; with `far`: not beside the chosen one. */
const EVERY = [
  whom,
  { key: "state", label: said.state, sort: (order) => order.state, cell: (order) => html`<${State} order=${order} />` },
  amount,
  { key: "what", far: true, wide: true, label: said.what, sort: (order) => order.billingPlanId, cell: (order) => html`${say.quantity(order.quantity, order.billingPlanId ?? "")} ${order.provider !== "stripe" ? html`<span class="soft">${say.providers[order.provider]} ${order.reference ?? ""}</span>` : null}` },
  { key: "missing", of: "missing", far: true, label: said.missing, number: true, sort: (order) => order.missing, cell: (order) => unlessZero(order.missing, order) },
  { key: "overpaid", of: "overpaid", far: true, label: said.overpaid, number: true, sort: (order) => order.overpaid, cell: (order) => unlessZero(order.overpaid, order) },
  { key: "refunded", of: "refunded", far: true, label: said.refunded, number: true, sort: (order) => order.refunded, cell: (order) => unlessZero(order.refunded, order) },
  { key: "at", label: said.at, sort: (order) => order.createdAt, cell: (order) => html`<${Time} at=${order.createdAt} />` },
  { key: "due", of: "dueAt", far: true, label: said.due, sort: (order) => order.dueAt, cell: (order) => html`<${Time} at=${order.dueAt} />` },
];

const every = (params, rows) => [...EVERY.filter(({ of, far }) => (!of || rows.some((order) => order[of])) && !(far && params.sel)), json(params)];

const reasonOf = (order) => order.notLive?.reason ?? "";

/** Those that have the same cause together, the oldest first. */
const byReason = (rows) => [...rows].sort((a, b) => reasonOf(a).localeCompare(reasonOf(b)) || a.paidAt.localeCompare(b.paidAt));

/** Which invoices were paid, since when nothing runs for them, why, and what to do; `grouped`: that stands above them already. */
const notLive = (params, links, grouped) =>
  [
    { ...whom, cell: (order) => html`<a href=${href({ view: "orders", id: order.id })}>${nameOf(order)}</a>${order.customerId && order.customerId !== nameOf(order) && html`<div class="soft under"><${CustomerLink} id=${order.customerId} /></div>`}` },
    { key: "invoice", label: said.invoice, cell: (order) => html`<${Invoice} order=${order} links=${links} />` },
    amount,
    { key: "since", label: said.paid, sort: (order) => order.paidAt, cell: (order) => html`<${Time} at=${order.paidAt} />` },
    { key: "why", label: said.why, wide: true, sort: (order) => order.notLive?.reason, cell: (order) => order.notLive && (grouped ? order.notLive.detail : html`<${Why} found=${order.notLive} />`) },
    json(params),
  ].filter(({ key }) => !params.sel || !["invoice", "since"].includes(key));
