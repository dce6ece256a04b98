/**
 * A native table: caption, headers that sort, rows that `j` and `k` go through and Enter opens.
 *
 * On a phone each row becomes a card whose cells carry their column's name.
 */

import { html } from "/app/markup.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

/**
 * @typedef {{key: string, label: string, cell: (row: any) => any, sort?: (row: any) => string|number|null, number?: boolean, wide?: boolean, long?: boolean, main?: boolean}} Column
 *   `sort`: what its rows are put in order by; `main`: the row's own cell, a header of the row;
 *   `long`: words without a blank, such as addresses, which break where there is no room
 *
 * @param {{caption: string, columns: Column[], rows: any[], id: (row: any) => string, params?: object, quiet?: boolean, selected?: string, sortable?: boolean, group?: (row: any) => string}} props
 *   `params`: of the address, whose `sort` ("name" or "-name") says the order; `quiet`: the caption is for screen
 *   readers, a heading says it already; `sortable`: false where the order means something; `group`: the heading that a row
 *   stands under, such as its day, while the rows are in their own order
 */
export function Table({ caption, columns, rows, id, params = {}, quiet, selected, sortable = true, group, heading = (row) => group(row) }) {
  const order = sortable ? (params.sort ?? "") : "";
  return html`
    <div class="scroll" role="region" aria-label=${caption} tabindex="-1">
      <table>
        <caption class=${quiet ? "hidden" : ""}>${caption}</caption>
        <thead>
          <tr>${columns.map((column) => html`<${Head} key=${column.key} column=${column} order=${order} params=${sortable && params} />`)}</tr>
        </thead>
        ${grouped(sorted(rows, columns, order), order ? null : group).map(
          ({ name, rows: those }) => html`
            <tbody key=${name}>
              ${name !== null && html`<tr class="group"><th colspan=${columns.length} scope="rowgroup">${heading(those[0])}</th></tr>`}
              ${those.map((row) => html`<tr key=${id(row)} aria-current=${selected === id(row) ? "true" : undefined}>${columns.map((column) => cellOf(column, row))}</tr>`)}
            </tbody>
          `,
        )}
      </table>
    </div>
  `;
}

/** Rows that follow each other under one heading, in their order. */
function grouped(rows, group) {
  if (!group) return [{ name: null, rows }];
  const groups = [];
  for (const row of rows) {
    const name = group(row);
    if (groups.at(-1)?.name === name) groups.at(-1).rows.push(row);
    else groups.push({ name, rows: [row] });
  }
  return groups;
}

function cellOf(column, row) {
  const classes = [column.number && "number", column.wide && "wide", column.long && "long"].filter(Boolean).join(" ");
  return column.main
    ? html`<th scope="row" class=${classes} data-label=${column.label}><div>${column.cell(row)}</div></th>`
    : html`<td class=${classes} data-label=${column.label}><div>${column.cell(row)}</div></td>`;
}

function Head({ column, order, params }) {
  const classes = column.number ? "number" : "";
  if (!column.sort || !params) return html`<th scope="col" class=${classes}>${column.label}</th>`;
  const direction = order === column.key ? "ascending" : order === `-${column.key}` ? "descending" : "none";
  const next = { none: column.key, ascending: `-${column.key}`, descending: undefined }[direction]; // and then its own order again
  return html`
    <th scope="col" class=${classes} aria-sort=${direction}>
      <a class="sort" href=${href({ ...params, sort: next })} title=${texts.table.sortBy(column.label)}>${column.label}</a>
    </th>
  `;
}

function sorted(rows, columns, order) {
  const column = columns.find(({ key, sort }) => sort && (order === key || order === `-${key}`));
  if (!column) return rows;
  const sign = order.startsWith("-") ? -1 : 1;
  return [...rows].sort((a, b) => sign * compare(column.sort(a), column.sort(b)));
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

/** Go to the next (1) or the last (-1) row of the table that is looked at; Enter then follows its link. */
export function moveRow(step) {
  const links = [...document.querySelectorAll("main tbody tr, main ol.rows > li")]
    .map((row) => row.querySelector("a[href], button, summary"))
    .filter((link) => link && link.offsetParent !== null);
  if (!links.length) return;
  const row = document.activeElement?.closest("tbody tr, ol.rows > li");
  const at = links.findIndex((link) => link === document.activeElement || (row && row.contains(link)));
  const next = links[Math.min(Math.max(at + step, 0), links.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}
