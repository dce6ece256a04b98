/** Who is suspended or deleted in the next days, and the money at stake. */

import * as format from "/app/format.js";
import { html } from "/app/markup.js";
import { useList } from "/app/parts/data.js";
import { Download, List } from "/app/parts/list.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const said = texts.overview.upcoming;

export const UPCOMING = [
  { key: "at", label: said.at, sort: (row) => row.at, cell: (row) => html`<${Time} at=${row.at} />` },
  { key: "what", label: said.does, sort: (row) => row.what, cell: (row) => html`<${Badge} word=${row.what} label=${said[row.what]} tone=${row.what === "delete" ? "bad" : "warn"} />` },
  { key: "customer", label: said.customer, main: true, sort: (row) => row.email ?? row.customerId, cell: (row) => html`<${CustomerLink} id=${row.customerId} label=${row.email ?? row.customerId} />` },
  { key: "domain", label: said.domain, sort: (row) => row.domain, cell: (row) => row.domain },
  { key: "reason", label: said.reason, sort: (row) => row.reason, cell: (row) => format.words(row.reason) },
  { key: "amount", label: said.amount, number: true, sort: (row) => row.amount, cell: (row) => format.money(row.amount, row.currency, row.exponent) },
];

/** The same list as files. */
export function UpcomingFiles({ query }) {
  return html`
    <${Download} path="/api/admin/work" query=${query} name="upcoming.csv" />
    <${Download} path="/api/admin/work" query=${{ ...query, format: "ics" }} name="upcoming.ics" accept="text/calendar" label=${said.ics} title=${said.icsHint} />
  `;
}

/** "12 suspensions, 3 deletions · 240.00 EUR at stake"; `more`: there are others, which these numbers leave out. */
export function Stake({ rows, more }) {
  const sums = new Map();
  for (const { amount, currency, exponent } of rows) {
    if (amount === null) continue;
    const before = sums.get(currency) ?? { amount: 0, currency, exponent };
    sums.set(currency, { ...before, amount: before.amount + amount });
  }
  const of = (what) => rows.filter((row) => row.what === what).length;
  const money = [...sums.values()].map((sum) => format.money(sum.amount, sum.currency, sum.exponent)).join(" + ");
  return html`<span class="soft">${[said.count(of("suspend"), of("delete")), money && said.stake(money), more && said.first(rows.length)].filter(Boolean).join(" · ")}</span>`;
}

const FIRST = 10; // rows on the overview; the rest is one click away
const QUERY = { view: "upcoming", days: 7 };

export function Upcoming() {
  const list = useList("/api/admin/work", { ...QUERY, limit: 50 });
  return html`
    <section class="card">
      <header>
        <h2>${said.title}</h2>
        ${list.rows && html`<${Stake} rows=${list.rows} more=${Boolean(list.more)} />`}
        <${UpcomingFiles} query=${QUERY} />
        <a href=${href({ view: "work", state: "upcoming" })}>${said.all}</a>
      </header>
      <${List} list=${{ ...list, more: null }} what=${said.what} empty=${{ says: said.none }}>
        <${Table} caption=${said.caption} quiet columns=${UPCOMING} rows=${(list.rows ?? []).slice(0, FIRST)} id=${(row) => `${row.at} ${row.service}`} sortable=${false} />
      </${List}>
    </section>
  `;
}
