/** The columns of the queue, by the state that is looked at. */

import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink, Remedy } from "/app/parts/words.js";
import { texts } from "/app/texts.js";

const said = texts.work.columns;

const SUBJECT = { key: "subject", label: said.subject, main: true, sort: (row) => row.email ?? row.key, cell: Subject };
const ATTEMPTS = { key: "attempts", label: said.attempts, number: true, sort: (row) => row.attempts, cell: (row) => row.attempts };
const NEXT = { key: "next", label: said.next, sort: (row) => row.dueAt, cell: (row) => html`<${Time} at=${row.dueAt} />` };
const ERROR = { key: "error", label: said.error, wide: true, sort: (row) => row.lastError, cell: (row) => row.lastError };
const WAITS = { key: "waits", label: said.waits, sort: (row) => row.waitsFor, cell: (row) => row.waitsFor && html`<${Badge} word=${row.waitsFor} tone="info" />` };
const PARKED = [
  SUBJECT,
  { key: "reason", label: said.reason, sort: (row) => row.reason, cell: (row) => html`<${Badge} word=${row.reason} tone="bad" />` },
  { key: "detail", label: said.detail, wide: true, cell: Details },
  { key: "parked", label: said.parked, sort: (row) => row.parkedAt, cell: (row) => html`<${Time} at=${row.parkedAt} />` },
  ATTEMPTS,
  NEXT,
];

const UNDER_REASON = PARKED.filter(({ key }) => key !== "reason").map((column) => (column.key === "detail" ? { ...column, cell: (row) => Details(row, false) } : column));

/**
 * @param {"parked"|"due"|"working"|"waiting"} state
 * @param {boolean} [told] whether reason and remedy stand above the rows already
 */
export function columnsOf(state, told) {
  if (state === "parked") return told ? UNDER_REASON : PARKED;
  return state === "waiting" ? [SUBJECT, WAITS, NEXT, ATTEMPTS, ERROR] : [SUBJECT, NEXT, ATTEMPTS, WAITS, ERROR];
}

/** Those who are parked for the same thing together, the longest first. */
export const byReason = (rows) => [...rows].sort((a, b) => (a.reason ?? "").localeCompare(b.reason ?? "") || (a.parkedAt ?? "").localeCompare(b.parkedAt ?? ""));

/** The heading of a group: why, and what to do. */
export function Reason(row) {
  return html`<${Badge} word=${row.reason} tone="bad" /> <span class="soft">${row.remedy} <${Remedy} reason=${row.reason} /></span>`;
}

function Subject(row) {
  if (row.kind !== "customer") return html`${words(row.kind)} <code>${row.key}</code>`;
  return html`<${CustomerLink} id=${row.key} label=${row.email ?? row.key} />${row.email && html`<div class="soft under">${row.key}</div>`}`;
}

/** Each problem in the server's own words, and what to do about it. */
function Details(row, remedies = true) {
  const problems = row.problems.length ? row.problems : [{ detail: row.lastError, remedy: row.remedy, reason: row.reason }];
  return html`<div>${problems.map((problem) => html`<div key=${problem.detail} class="problem"><div>${problem.detail}</div>${remedies && html`<div class="soft">${problem.remedy} <${Remedy} reason=${problem.reason} /></div>`}</div>`)}</div>`;
}
