/** What goes to the operator's own systems: each endpoint, each delivery, and sending again or no more. */

import { post } from "/app/api.js";
import { day } from "/app/format.js";
import { html, useState } from "/app/markup.js";
import { Beside } from "/app/parts/beside.js";
import { useData, useList } from "/app/parts/data.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { Json } from "/app/parts/json.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { announce } from "/app/parts/live.js";
import { Failure, Loading } from "/app/parts/notice.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink } from "/app/parts/words.js";
import { Endpoints } from "/app/screens/events/endpoints.js";
import { OnAll } from "/app/screens/events/onall.js";
import { Pick } from "/app/parts/pick.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { events as say } from "/app/texts/events.js";

const PATH = "/api/admin/events";
const said = say.outgoing;

const fields = (endpoints) => [
  { name: "from", label: say.filters.from, period: true },
  { name: "endpoint", label: say.filters.endpoint, options: Object.fromEntries(endpoints.map((one) => [one.id, one.url])) },
  { name: "state", label: say.filters.state, options: say.deliveryStates },
  { name: "type", label: say.filters.type, hint: "order.paid" },
  { name: "customer", label: say.filters.customer, hint: "cus_…" },
  { name: "to", label: say.filters.to, hint: say.filters.toHint },
];
const NAMES = fields([]).map(({ name }) => name);
const OF_MANY = ["type", "customer", "from", "to"]; // what an act on many takes; its endpoint stands apart, and it knows no states
const SHOWN = "-7d"; // what the list shows where no time is chosen

const only = (params, names) => Object.fromEntries(names.map((name) => [name, params[name]]).filter(([, value]) => value));

/** The endpoints, the list with its filters, and the chosen event beside it. */
export function Outgoing({ params }) {
  const query = { direction: "out", ...only(params, NAMES) };
  const list = useList(PATH, query);
  const how = useStore(times);
  const endpoints = list.answer?.endpoints ?? [];
  const all = fields(endpoints);
  const named = activeOf(all, params);
  const why = whyNotAll(params);
  const next = named.length ? said.filteredNext : said.noneNext;
  return html`
    ${list.answer && html`<${Endpoints} endpoints=${endpoints} reload=${list.reload} />`}
    <${Filters} fields=${all} params=${params} />
    <div class="bar">
      ${["resend", "skip"].map((act) => html`<${OnAll} key=${act} act=${act} endpoint=${params.endpoint} filter=${{ from: SHOWN, ...only(params, OF_MANY) }} named=${activeOf(all, { from: SHOWN, ...params })} none=${Boolean(why)} done=${list.reload} />`)}
      ${why && html`<span class="soft">${why}</span>`}
      <span class="space"></span>
      <${Shown} list=${list} />
      <${Download} path=${PATH} query=${query} name="outgoing.csv" />
    </div>
    <div class=${params.sel ? "split" : ""}>
      <div>
        <${List} list=${list} what=${say.reading} empty=${{ says: said.none, next, filters: named, params: without(all, params) }}>
          <${Table} caption=${said.caption} quiet columns=${columns(params, endpoints)} rows=${list.rows ?? []} id=${(one) => `${one.eventId} ${one.endpoint}`} params=${params} group=${(one) => day(one.createdAt, how)} />
        <//>
      </div>
      ${params.sel && !list.loading && html`<${One} key=${params.sel} id=${params.sel} endpoints=${endpoints} params=${params} changed=${list.reload} />`}
    </div>
  `;
}

/** Why nothing can be done to all that the list shows, where it is so. */
function whyNotAll({ endpoint, state, from, to }) {
  if (!endpoint) return say.all.pickEndpoint;
  if (state) return say.all.noState;
  return to && !from ? say.all.pickFrom : null;
}

const urlOf = (endpoints, id) => endpoints.find((one) => one.id === id)?.url ?? id;

const columns = (params, endpoints) => [
  { key: "type", label: said.type, main: true, sort: (one) => one.type, cell: (one) => html`<${Pick} id=${one.eventId} params=${params}>${one.type}<//>` },
  { key: "at", label: said.at, sort: (one) => one.createdAt, cell: (one) => html`<${Time} at=${one.createdAt} />` },
  { key: "customer", label: said.customer, long: true, sort: (one) => one.customerId, cell: (one) => one.customerId && html`<${CustomerLink} id=${one.customerId} />` },
  !params.sel && endpoints.length > 1 && { key: "endpoint", label: said.endpoint, long: true, cell: (one) => urlOf(endpoints, one.endpoint) },
  { key: "state", label: said.state, sort: (one) => one.state, cell: (one) => html`<${Badge} word=${one.state} />` },
  !params.sel && { key: "attempts", label: said.attempts, number: true, sort: (one) => one.attempts, cell: (one) => one.attempts },
  !params.sel && { key: "error", label: said.error, wide: true, cell: (one) => one.error },
].filter(Boolean);

function One({ id, endpoints, params, changed }) {
  const found = useData(PATH, { direction: "out", id }, { poll: false });
  const again = () => {
    found.reload();
    changed();
  };
  return html`
    <${Beside} title=${say.one.title} id=${id} what=${say.one.id} params=${params}>
      ${found.problem && html`<${Failure} what=${say.readingOne} problem=${found.problem} again=${found.reload} />`}
      ${found.loading && html`<${Loading} />`}
      ${found.data && html`
        <p><strong>${found.data.type}</strong></p>
        <h3>${say.one.deliveries}</h3>
        ${found.data.deliveries.map((one) => html`<${Delivery} key=${one.endpoint} one=${one} url=${urlOf(endpoints, one.endpoint)} again=${again} />`)}
        ${found.data.body ? html`<${Json} value=${found.data.body} label=${say.one.body} open />` : html`<p class="soft">${say.one.noBody}</p>`}`}
    <//>
  `;
}

function Delivery({ one, url, again }) {
  const [state, setState] = useState({});
  const act = async (action, done) => {
    if (state.busy) return; // asked for already
    setState({ busy: true });
    try {
      await post(PATH, { action, endpoint: one.endpoint, eventIds: [one.eventId] });
      announce(done);
      setState({ done });
      again();
    } catch (problem) {
      setState({ problem });
    }
  };
  const tries = one.tries ?? [];
  return html`
    <p>${url} <${Badge} word=${one.state} /> <span class="soft">${say.one.number(one.sequence)}</span></p>
    ${tries.length === 0
      ? html`<p class="soft">${say.one.noTries}</p>`
      : html`<ul class="those">${tries.map((tried) => html`<li key=${tried.at}><${Time} at=${tried.at} /> ${say.one.attempt(tried.status, tried.durationMs)} ${tried.error ?? ""}</li>`)}</ul>`}
    <p class="row">
      ${one.state === "waiting"
        ? html`<button type="button" aria-disabled=${state.busy ? "true" : undefined} aria-label=${say.one.skipTo(url)} onClick=${() => act("skip", say.one.skipped)}>${say.one.skip}</button>`
        : html`<button type="button" aria-disabled=${state.busy ? "true" : undefined} aria-label=${say.one.resendTo(url)} onClick=${() => act("resend", say.one.resent)}>${say.one.resend}</button>`}
    </p>
    ${state.problem && html`<${Failure} what=${say.one.actFailed} problem=${state.problem} />`}
    ${state.done && html`<p>${state.done}</p>`}
  `;
}
