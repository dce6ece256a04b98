/** What was expected of offline orders against what came, for each of the two ways to pay. */

import { html } from "/app/markup.js";
import { shown, unlessZero } from "/app/screens/orders/amounts.js";
import { useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { orders as say } from "/app/texts/orders.js";

const PATH = "/api/admin/orders";
const { bank_transfer, cash_on_delivery } = say.providers;
const FIELDS = [
  { name: "provider", label: say.filters.provider, options: { bank_transfer, cash_on_delivery } },
  { name: "from", label: say.filters.from, period: true },
];
const said = say.reconciliation;

/** @param {{params: Record<string, string>}} props */
export function Reconciliation({ params }) {
  const query = { view: "reconciliation", provider: params.provider ?? "bank_transfer", from: params.from };
  const list = useList(PATH, query);
  const [says, next] = say.empty.reconciliation;
  return html`
    <${Filters} fields=${FIELDS} params=${{ ...params, provider: query.provider }} />
    <div class="bar"><span class="space"></span><${Shown} list=${list} /><${Download} path=${PATH} query=${query} name="reconciliation.csv" /></div>
    <${List} list=${list} what=${say.reading} empty=${{ says, next, filters: activeOf(FIELDS, { ...params, provider: query.provider }), params: without(FIELDS, params) }}>
      <${Table} caption=${said.caption} quiet columns=${COLUMNS} rows=${list.rows ?? []} id=${(one) => one.orderId} sortable=${false} />
    <//>
  `;
}

const COLUMNS = [
  { key: "reference", label: said.reference, main: true, cell: (one) => html`<a href=${href({ view: "orders", id: one.orderId })}>${one.reference ?? one.orderId}</a>` },
  { key: "state", label: say.columns.state, cell: (one) => html`<${Badge} word=${one.state} label=${say.states[one.state]} />` },
  { key: "expected", label: said.expected, number: true, cell: (one) => shown(one.expected, one) },
  { key: "collected", label: said.collected, number: true, cell: (one) => shown(one.collected, one) },
  { key: "returned", label: said.returned, number: true, cell: (one) => unlessZero(one.returned, one) },
  { key: "difference", label: said.difference, number: true, cell: (one) => unlessZero(one.difference, one) },
  { key: "due", label: say.columns.due, cell: (one) => html`<${Time} at=${one.dueAt} />` },
  { key: "last", label: said.last, cell: (one) => html`<${Time} at=${one.lastCameAt} />` },
  { key: "ids", label: said.ids, cell: (one) => one.externalIds.join(", ") },
];
