/** Find customers by what one knows of them. */

import { html } from "/app/markup.js";
import { useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink, Holds, States } from "/app/parts/words.js";
import { words } from "/app/format.js";
import { Amnesty, LIFTED, LiftAll } from "/app/screens/work/acts.js";
import { texts } from "/app/texts.js";

const said = texts.customers;
const FIELDS = [
  ...["email", "name", "domain", "identifier"].map((name) => ({ name, label: said.filters[name] })),
  { name: "state", label: said.filters.state, options: texts.states },
  { name: "hold", label: said.filters.hold, options: texts.holds },
  { name: "reason", label: said.filters.reason },
];
const COLUMNS = [
  { key: "customer", label: said.columns.customer, main: true, sort: (row) => row.email ?? row.name ?? row.customerId, cell: Who },
  { key: "services", label: said.columns.services, sort: (row) => Object.values(row.services).reduce((sum, count) => sum + count, 0), cell: (row) => html`<${States} states=${row.services} />` },
  { key: "domains", label: said.columns.domains, wide: true, sort: (row) => row.domains[0] ?? null, cell: (row) => row.domains.join(", ") },
  { key: "holds", label: said.columns.holds, sort: (row) => row.holds.join(" ") || null, cell: (row) => html`<${Holds} holds=${row.holds} />` },
  { key: "parked", label: said.columns.parked, sort: (row) => row.reason, cell: (row) => row.reason && html`<${Badge} word=${row.reason} tone="bad" title=${row.lastError} />` },
  { key: "since", label: said.columns.since, sort: (row) => row.createdAt, cell: (row) => html`<${Time} at=${row.createdAt} />` },
];

/** @param {{params: Record<string, string>}} props */
export default function Customers({ params }) {
  const query = Object.fromEntries(FIELDS.map(({ name }) => [name, params[name]]));
  const list = useList("/api/admin/customers", query);
  const filters = activeOf(FIELDS, params);
  const empty = { says: said.empty, next: filters.length ? said.emptyNext : null, filters, params: without(FIELDS, params) };
  return html`
    <div class="head">
      <h1>${texts.screens.customers}</h1>
      <${Shown} list=${list} />
      <${Download} path="/api/admin/customers" query=${query} name="customers.csv" />
    </div>
    <section class="card">
      <${Filters} fields=${FIELDS} params=${params} legend=${said.filters.find} />
      ${onlyHold(params) && html`<div class="bar">${params.hold === "unpaid" ? html`<${Amnesty} done=${list.reload} />` : html`<${LiftAll} key=${params.hold} hold=${params.hold} done=${list.reload} />`}</div>`}
      <${List} list=${list} what=${said.what} empty=${empty}>
        <${Table} caption=${said.caption} quiet columns=${COLUMNS} rows=${list.rows ?? []} id=${(row) => row.customerId} params=${params} />
      </${List}>
    </section>
  `;
}

/** Whether exactly those are shown whom an act on all of a hold concerns. */
const onlyHold = (params) => [...LIFTED, "unpaid"].includes(params.hold) && FIELDS.every(({ name }) => name === "hold" || !params[name]);

function Who(row) {
  const label = row.erased ? said.erased : (row.email ?? row.name ?? row.customerId);
  const more = [label !== row.name && row.name, label !== row.customerId && row.customerId, row.provider !== "stripe" && words(row.provider)].filter(Boolean);
  return html`
    <${CustomerLink} id=${row.customerId} label=${label} />
    <div class="soft under">${more.map((one, place) => html`${place > 0 && " · "}<bdi>${one}</bdi>`)}</div>
  `;
}
