/** What a customer bought and paid. */

import * as format from "/app/format.js";
import { html } from "/app/markup.js";
import { Empty } from "/app/parts/notice.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.orders;
const money = (order, amount) => format.money(amount, order.currency, order.exponent);
const COLUMNS = [
  { key: "order", label: said.order, main: true, long: true, cell: (row) => html`<a href=${href({ view: "orders", id: row.id })}>${row.domain ?? row.billingPlanId ?? row.id}</a><div class="soft under"><${Time} at=${row.createdAt} /></div>` },
  { key: "state", label: said.state, cell: State },
  { key: "amount", label: said.amount, number: true, cell: (row) => html`${money(row, row.total ?? row.amount)}${row.missing > 0 && html`<div class="fault under">${said.missing} ${money(row, row.missing)}</div>`}${row.refunded > 0 && html`<div class="soft under">${said.refunded} ${money(row, row.refunded)}</div>`}` },
];

/** @param {{customer: any}} props */
export function Orders({ customer }) {
  return html`
    <section class="card">
      <header><h2>${said.title}</h2><a href=${href({ view: "orders", customer: customer.customerId })}>${said.all}</a></header>
      ${customer.orders.length ? html`<${Table} caption=${said.caption} quiet columns=${COLUMNS} rows=${customer.orders} id=${(row) => row.id} sortable=${false} />` : html`<${Empty} says=${said.none} />`}
    </section>
  `;
}

function State(row) {
  return html`
    <div>
      <${Badge} word=${row.state} /> ${row.disputed && html`<${Badge} word="disputed" label=${said.disputed} />`}
      ${row.paidAt && html`<div class="soft under">${said.paid} <${Time} at=${row.paidAt} /></div>`}
      ${row.paidAt && !row.servedAt && !row.endedAt && html`<div class="fault under">${said.notLive}</div>`}
    </div>
  `;
}
