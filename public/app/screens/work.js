/** The queue: who waits for a person, what is due, what waits by itself, and acts on all that match. */

import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Table } from "/app/parts/table.js";
import { Tabs } from "/app/parts/tabs.js";
import { Remedy } from "/app/parts/words.js";
import { Stake, UPCOMING, UpcomingFiles } from "/app/screens/overview/upcoming.js";
import { ForAll } from "/app/screens/work/acts.js";
import { byReason, columnsOf, Reason } from "/app/screens/work/columns.js";
import { texts } from "/app/texts.js";

const said = texts.work;
const STATES = ["parked", "failing", "braked", "due", "working", "waiting"];

/** @param {{params: Record<string, string>, dashboard: any}} props */
export default function Work({ params, dashboard }) {
  const state = params.state ?? "parked";
  return html`
    <div class="head"><h1>${texts.screens.work}</h1></div>
    <section class="card">
      <${Tabs} label=${said.tabs.label} tabs=${tabsOf(dashboard.data?.queue)} current=${state} />
      ${state === "upcoming" ? html`<${UpcomingList} params=${params} reload=${dashboard.reload} />` : html`<${QueueList} key=${state} state=${state} params=${params} dashboard=${dashboard} />`}
    </section>
  `;
}

function tabsOf(queue) {
  const numbers = queue && { parked: queue.parked.total, failing: queue.waiting.retry ?? 0, braked: queue.waiting.brake ?? 0, due: queue.due, working: queue.working, waiting: Object.values(queue.waiting).reduce((sum, number) => sum + number, 0) };
  return [...STATES, "upcoming"].map((key) => ({ key, label: said.tabs[key], count: numbers?.[key], params: { view: "work", state: key } }));
}

function QueueList({ state, params, dashboard }) {
  const groups = dashboard.data?.queue.parked.byReason ?? {};
  const fields = state === "parked" ? [{ name: "reason", label: said.filters.reason, options: Object.fromEntries(Object.entries(groups).map(([reason, number]) => [reason, `${words(reason)} (${number})`])) }] : [];
  const query = { state, reason: state === "parked" ? params.reason : undefined };
  const list = useList("/api/admin/work", query);
  const remedy = query.reason && dashboard.data?.queue.parked.groups.find((group) => group.reason === query.reason)?.remedy;
  const grouped = state === "parked" && !query.reason && !params.sort;
  const reload = () => {
    list.reload();
    dashboard.reload();
  };
  const empty = { says: said.empty[state], next: said.emptyNext[state], filters: activeOf(fields, params), params: without(fields, params) };
  return html`
    ${fields.length > 0 && html`<${Filters} fields=${fields} params=${{ view: "work", ...params }} />`}
    <div class="bar">
      <${ForAll} state=${state} reason=${query.reason} none=${list.rows?.length === 0} done=${reload} />
      <span class="space"></span>
      <${Shown} list=${list} />
      <${Download} path="/api/admin/work" query=${query} name=${`${state}.csv`} />
    </div>
    ${remedy && html`<div class="notice info inset"><p>${remedy} <${Remedy} reason=${query.reason} /></p></div>`}
    <${List} list=${list} what=${said.what} empty=${empty}>
      <${Table} caption=${said.caption[state]} quiet columns=${columnsOf(state, remedy || grouped)} rows=${grouped ? byReason(list.rows ?? []) : (list.rows ?? [])} group=${grouped ? (row) => row.reason : undefined} heading=${Reason} id=${(row) => `${row.kind} ${row.key}`} params=${{ ...params, view: "work" }} />
    </${List}>
  `;
}

const WEEK = 7;
const DAYS = ["30", "90"];

function UpcomingList({ params, reload }) {
  const fields = [{ name: "days", label: said.period.label, any: said.period.days(WEEK), options: Object.fromEntries(DAYS.map((days) => [days, said.period.days(Number(days))])) }];
  const query = { view: "upcoming", days: params.days ?? WEEK };
  const list = useList("/api/admin/work", query);
  const again = () => {
    list.reload();
    reload();
  };
  return html`
    <${Filters} fields=${fields} params=${params} />
    <div class="bar">
      <${ForAll} state="upcoming" done=${again} />
      <span class="space"></span>
      ${list.rows && html`<${Stake} rows=${list.rows} more=${Boolean(list.more)} />`}
      <${UpcomingFiles} query=${query} />
    </div>
    <${List} list=${list} what=${texts.overview.upcoming.what} empty=${{ says: said.empty.upcoming }}>
      <${Table} caption=${said.caption.upcoming} quiet columns=${UPCOMING} rows=${list.rows ?? []} id=${(row) => `${row.at} ${row.service}`} params=${params} />
    </${List}>
  `;
}
