/** Who waits for a person, grouped by why, with what to do. */

import { count, words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Empty } from "/app/parts/notice.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Remedy } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const said = texts.overview.people;
const COLUMNS = [
  { key: "reason", label: said.reason, main: true, cell: (row) => html`<a href=${href({ view: "work", state: "parked", reason: row.reason })}>${words(row.reason)}</a>` },
  { key: "count", label: said.count, number: true, cell: (row) => count(row.count) },
  { key: "oldest", label: said.oldest, cell: (row) => html`<${Time} at=${row.oldestAt} />` },
  { key: "remedy", label: said.remedy, wide: true, cell: (row) => html`${row.remedy} <${Remedy} reason=${row.reason} />` },
];

/** @param {{groups: {reason: string, count: number, oldestAt: string, remedy: string}[]}} props */
export function People({ groups }) {
  return html`
    <section class="card">
      <header><h2>${said.title}</h2></header>
      ${groups.length ? html`<${Table} caption=${said.caption} quiet columns=${COLUMNS} rows=${groups} id=${(row) => row.reason} sortable=${false} />` : html`<${Empty} says=${said.none} />`}
    </section>
  `;
}
