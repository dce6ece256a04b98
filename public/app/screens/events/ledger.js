/** The ledger over all customers: what was done and noted, newest first. */

import { day, words } from "/app/format.js";
import { html } from "/app/markup.js";
import { useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink } from "/app/parts/words.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";
import { events as say } from "/app/texts/events.js";

const PATH = "/api/admin/events";
const said = say.ledger;
const FIELDS = [
  { name: "from", label: say.filters.from, period: true },
  { name: "kind", label: say.filters.kind, hint: say.filters.kindHint },
  { name: "customer", label: say.filters.customer, hint: "cus_…" },
  { name: "actor", label: say.filters.actor },
  { name: "state", label: say.filters.state, options: say.ledgerStates },
  { name: "to", label: say.filters.to, hint: say.filters.toHint },
];

/** The list with its filters. */
export function Ledger({ params }) {
  const query = { direction: "ledger", ...Object.fromEntries(FIELDS.map(({ name }) => [name, params[name]])) };
  const list = useList(PATH, query);
  const how = useStore(times);
  const named = activeOf(FIELDS, params);
  const next = named.length ? said.filteredNext : said.noneNext;
  return html`
    <${Filters} fields=${FIELDS} params=${params} />
    <div class="bar"><span class="space"></span><${Shown} list=${list} /><${Download} path=${PATH} query=${query} name="ledger.csv" /></div>
    <${List} list=${list} what=${say.reading} empty=${{ says: said.none, next, filters: named, params: without(FIELDS, params) }}>
      <${Table} caption=${said.caption} quiet columns=${COLUMNS} rows=${list.rows ?? []} id=${(line) => String(line.id)} params=${params} group=${(line) => day(line.at, how)} />
    <//>
  `;
}

const COLUMNS = [
  { key: "what", label: said.what, main: true, sort: (line) => line.kind, cell: (line) => texts.kinds[line.kind] ?? words(line.kind) },
  { key: "state", label: said.state, sort: (line) => line.state, cell: (line) => html`<${Badge} word=${line.state} label=${say.ledgerStates[line.state]} title=${line.error} />` },
  { key: "at", label: said.at, sort: (line) => line.at, cell: (line) => html`<${Time} at=${line.at} />` },
  { key: "customer", label: said.customer, sort: (line) => line.customerId, cell: (line) => line.customerId && html`<${CustomerLink} id=${line.customerId} />` },
  { key: "service", label: said.service, cell: (line) => line.service && html`<code>${line.service}</code>` },
  { key: "rule", label: said.rule, sort: (line) => line.rule, cell: (line) => words(line.rule) },
  { key: "actor", label: said.actor, sort: (line) => line.actor, cell: (line) => (line.actor === "bridge" ? said.bridge : line.actor) },
];
