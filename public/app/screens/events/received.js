/** What came in, what came of it, and playing it again. */

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
import { Pick } from "/app/parts/pick.js";
import { OnAll } from "/app/screens/events/onall.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { events as say } from "/app/texts/events.js";

const PATH = "/api/admin/events";
const said = say.received;
const FIELDS = [
  { name: "from", label: say.filters.from, period: true },
  { name: "type", label: say.filters.type, hint: say.filters.typeHint },
  { name: "customer", label: say.filters.customer, hint: "cus_…" },
  { name: "object", label: say.filters.object, hint: "in_…, sub_…" },
  { name: "outcome", label: say.filters.outcome, options: say.outcomes },
  { name: "source", label: say.filters.source, options: say.sources },
  { name: "to", label: say.filters.to, hint: say.filters.toHint },
];

/** The list with its filters, and the chosen event beside it. */
export function Received({ params }) {
  const filter = Object.fromEntries(FIELDS.map(({ name }) => [name, params[name]]).filter(([, value]) => value));
  const list = useList(PATH, filter);
  const how = useStore(times);
  const named = activeOf(FIELDS, params);
  const next = named.length ? said.filteredNext : said.noneNext;
  return html`
    <${Filters} fields=${FIELDS} params=${params} />
    <div class="bar">
      <${OnAll} act="replay" filter=${filter} named=${named} none=${!list.rows?.length} done=${list.reload} />
      <span class="space"></span>
      <${Shown} list=${list} />
      <${Download} path=${PATH} query=${filter} name="events.csv" />
    </div>
    <div class=${params.sel ? "split" : ""}>
      <div>
        <${List} list=${list} what=${say.reading} empty=${{ says: said.none, next, filters: named, params: without(FIELDS, params) }}>
          <${Table} caption=${said.caption} quiet columns=${columns(params)} rows=${list.rows ?? []} id=${(one) => one.eventId} selected=${params.sel} params=${params} group=${(one) => day(one.receivedAt, how)} />
        <//>
      </div>
      ${params.sel && !list.loading && html`<${One} key=${params.sel} id=${params.sel} params=${params} />`}
    </div>
  `;
}

const columns = (params) => [
  { key: "type", label: said.type, main: true, sort: (one) => one.type, cell: (one) => html`<${Pick} id=${one.eventId} params=${params}>${one.type}<//>` },
  { key: "at", label: said.at, sort: (one) => one.receivedAt, cell: (one) => html`<${Time} at=${one.receivedAt} />` },
  { key: "customer", label: said.customer, sort: (one) => one.customerId, cell: (one) => one.customerId && html`<${CustomerLink} id=${one.customerId} />` },
  !params.sel && { key: "outcome", label: said.outcome, sort: (one) => `${one.outcome} ${one.source}`, cell: (one) => html`<${Badge} word=${one.outcome} label=${say.outcomes[one.outcome]} tone=${one.outcome === "unreadable" ? "bad" : "off"} title=${one.error} />${one.source === "sweep" && html` <${Badge} word="sweep" tone="warn" title=${say.sources.sweep} />`}` },
  !params.sel && { key: "work", label: said.work, cell: (one) => one.work.map((made) => html`<${Badge} key=${made.kind + made.key} word=${made.state} title=${`${made.kind} ${made.key}${made.error ? `: ${made.error}` : ""}`} /> `) },
].filter(Boolean);

function One({ id, params }) {
  const found = useData(PATH, { id }, { poll: false });
  return html`
    <${Beside} title=${say.one.title} id=${id} what=${say.one.id} params=${params}>
      ${found.problem && html`<${Failure} what=${say.readingOne} problem=${found.problem} again=${found.reload} />`}
      ${found.loading && html`<${Loading} />`}
      ${found.data && html`<${Body} event=${found.data} reload=${found.reload} />`}
    <//>
  `;
}

function Body({ event, reload }) {
  const [state, setState] = useState({});
  const replay = async () => {
    if (state.busy) return; // asked for already
    setState({ busy: true });
    try {
      const made = await post(PATH, { action: "replay", eventIds: [event.eventId] });
      announce(say.one.replayed(made.subjects));
      setState({ made });
      reload();
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`
    <p><strong>${event.type}</strong> <${Time} at=${event.receivedAt} /></p>
    ${event.error && html`<p class="notice warn">${event.error}</p>`}
    <h3>${say.one.made}</h3>
    ${event.work.length === 0
      ? html`<p class="soft">${say.one.nothingDue}</p>`
      : html`<ul class="those">${event.work.map((made) => html`<${Made} key=${made.kind + made.key} made=${made} />`)}</ul>`}
    <p class="row"><button type="button" aria-disabled=${state.busy ? "true" : undefined} onClick=${replay}>${state.busy ? say.one.replaying : say.one.replay}</button></p>
    ${state.problem && html`<${Failure} what=${say.one.replayFailed} problem=${state.problem} />`}
    ${state.made && html`<p>${say.one.replayed(state.made.subjects)}</p>`}
    ${event.body ? html`<${Json} value=${event.body} label=${say.one.body} open />` : html`<p class="soft">${say.one.noBody}</p>`}
  `;
}

function Made({ made }) {
  const whose = made.kind === "customer" ? html`<${CustomerLink} id=${made.key} />` : html`<code>${made.key}</code>`;
  return html`<li>${made.kind} ${whose} <${Badge} word=${made.state} /> ${made.error ?? ""} ${made.waitsFor ? say.one.waits(made.waitsFor) : ""} ${made.dueAt && made.state !== "done" ? html`<${Time} at=${made.dueAt} />` : null}</li>`;
}
