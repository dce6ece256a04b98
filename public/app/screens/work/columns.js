/** The columns of the queue, by the state that is looked at. */

import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink, Remedy } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const said = texts.work.columns;

const SUBJECT = { key: "subject", label: said.subject, main: true, sort: (row) => row.email ?? row.key, cell: Subject };
const ATTEMPTS = { key: "attempts", label: said.attempts, number: true, sort: (row) => row.attempts, cell: (row) => row.attempts };
const NEXT = { key: "next", label: said.next, sort: (row) => row.dueAt, cell: (row) => html`<${Time} at=${row.dueAt} />` };
const SINCE = { key: "since", label: said.since, sort: (row) => row.since, cell: (row) => html`<${Time} at=${row.since} />` };
const WHY = { key: "reason", label: said.reason, wide: true, sort: why, cell: Why };
const PARKED = [
  SUBJECT,
  { key: "reason", label: said.reason, sort: (row) => row.reason, cell: (row) => html`<${Badge} word=${row.reason} tone="bad" />` },
  { key: "detail", label: said.detail, wide: true, cell: Details },
  SINCE,
  ATTEMPTS,
  NEXT,
];

const UNDER_REASON = PARKED.filter(({ key }) => key !== "reason").map((column) => (column.key === "detail" ? { ...column, cell: (row) => Details(row, false) } : column));

/**
 * @param {"parked"|"failing"|"braked"|"due"|"working"|"waiting"} state
 * @param {boolean} [told] whether reason and remedy stand above the rows already
 */
export function columnsOf(state, told) {
  if (state === "parked") return told ? UNDER_REASON : PARKED;
  return [SUBJECT, WHY, SINCE, ATTEMPTS, NEXT];
}

/** The word for why a row is there: what it waits for, that its last pass failed, or that it only has its turn before it. */
function why(row) {
  return row.reason ?? (row.lastError ? "failing" : (row.waitsFor ?? row.state));
}

/** Why, in the server's own words, and what to do about it. */
function Why(row) {
  const word = why(row);
  return html`
    <${Badge} word=${word} label=${texts.work.turns[word]} tone=${word === "failing" ? "warn" : "info"} /> ${row.lastError}
    ${row.remedy && html`<div class="soft">${row.remedy} <${Remedy} reason=${word} /></div>`}
  `;
}

/** Those who are parked for the same thing together, the longest first. */
export const byReason = (rows) => [...rows].sort((a, b) => (a.reason ?? "").localeCompare(b.reason ?? "") || (a.parkedAt ?? "").localeCompare(b.parkedAt ?? ""));

/** The heading of a group: why, and what to do. */
export function Reason(row) {
  return html`<${Badge} word=${row.reason} tone="bad" /> <span class="soft">${row.remedy} <${Remedy} reason=${row.reason} /></span>`;
}

/** Where what is no customer is seen. */
const PLACES = {
  order: (id) => ({ view: "orders", id }),
  dispute: () => ({ view: "orders", only: "disputed" }),
  outbox: () => ({ view: "events", direction: "out" }),
};

function Subject(row) {
  const place = PLACES[row.kind]?.(row.key);
  if (row.kind !== "customer") return html`${words(row.kind)} ${place ? html`<a href=${href(place)}>${row.key}</a>` : html`<code>${row.key}</code>`}`;
  return html`<${CustomerLink} id=${row.key} label=${row.email ?? row.key} />${row.email && html`<div class="soft under">${row.key}</div>`}`;
}

/** Each problem in the server's own words, and what to do about it. */
function Details(row, remedies = true) {
  const problems = row.problems.length ? row.problems : [{ detail: row.lastError, remedy: row.remedy, reason: row.reason }];
  return html`<div>${problems.map((problem) => html`<div key=${problem.detail} class="problem"><div>${problem.detail}</div>${remedies && html`<div class="soft">${problem.remedy} <${Remedy} reason=${problem.reason} /></div>`}</div>`)}</div>`;
}
