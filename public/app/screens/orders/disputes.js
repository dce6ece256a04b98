/** Disputes with their due date and what to do: those of one order, or all of them; and the text that answers one. */

import { text } from "/app/api.js";
import { day, time } from "/app/format.js";
import { html, useLayoutEffect, useState } from "/app/markup.js";
import { shown } from "/app/screens/orders/amounts.js";
import { JsonBeside } from "/app/parts/beside.js";
import { useList } from "/app/parts/data.js";
import { Dialog } from "/app/parts/dialog.js";
import { activeOf, Filters, without } from "/app/parts/filters.js";
import { copy, Id } from "/app/parts/id.js";
import { Download, List, Shown } from "/app/parts/list.js";
import { Failure, Loading } from "/app/parts/notice.js";
import { Pick } from "/app/parts/pick.js";
import { present } from "/app/parts/presented.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";
import { orders as say } from "/app/texts/orders.js";

const PATH = "/api/admin/orders";
const DAY = 86_400_000; // ms
const SOON = 3; // days: from then on it is urgent
const said = say.disputes;
const TONES = { won: "good", lost: "bad", needs_response: "bad", warning_needs_response: "warn" };
const FIELDS = [
  { name: "over", label: said.which, any: said.open, options: { true: said.over } },
  { name: "customer", label: say.filters.customer, hint: "cus_…" },
];

/** @param {{params: Record<string, string>, links: {stripe: string}|undefined}} props */
export function DisputeList({ params, links }) {
  const query = { view: "disputes", over: params.over, customer: params.customer };
  const list = useList(PATH, query);
  const [says, next] = say.empty[params.over ? "over" : "disputed"];
  const chosen = params.sel && list.rows?.find((one) => one.id === params.sel);
  return html`
    <${Filters} fields=${FIELDS} params=${params} />
    <div class="bar"><span class="space"></span><${Shown} list=${list} /><${Download} path=${PATH} query=${query} name="disputes.csv" /></div>
    <div class=${chosen ? "split" : ""}>
      <div>
        <${List} list=${list} what=${said.readingAll} empty=${{ says, next, filters: activeOf(FIELDS, params), params: without(FIELDS, params) }}>
          <${Table} caption=${params.over ? said.captionOver : said.captionOpen} quiet columns=${columnsOf({ params, links, near: Boolean(chosen) })} rows=${list.rows ?? []} id=${(one) => one.id} selected=${params.sel} params=${params} />
        <//>
      </div>
      ${chosen && html`<${JsonBeside} key=${chosen.id} title=${said.id} what=${said.idOf} id=${chosen.id} params=${params} open=${chosen.orderId && { view: "orders", id: chosen.orderId }} of=${{ data: chosen }} />`}
    </div>
  `;
}

const STATE = { key: "state", label: said.state, sort: (one) => one.status, cell: (one) => html`<${Badge} word=${one.status} tone=${TONES[one.status] ?? "warn"} />` };
const AMOUNT = { key: "amount", label: said.amount, number: true, sort: (one) => one.amount, cell: (one) => shown(one.amount, one) };
const DUE = { key: "due", label: said.due, sort: (one) => one.dueBy, cell: (one) => html`<${Due} one=${one} />` };
const actsOf = (params) => ({
  key: "act", label: said.act,
  cell: (one) => html`<span class="row"><button type="button" aria-label=${said.packOf(one.id)} onClick=${() => present(Pack, { dispute: one })}>${said.pack}</button> <${Pick} id=${one.id} params=${params} label=${texts.json.of(one.id)}>${texts.json.show}<//></span>`,
});

function columnsOf({ params, links, near }) {
  const all = [
    { key: "whom", label: say.columns.whom, main: true, sort: nameOf, cell: (one) => html`<${Whom} one=${one} />` },
    DUE,
    AMOUNT,
    { ...STATE, far: true, label: said.id, cell: (one) => html`${STATE.cell(one)}<div class="under"><${Id} value=${one.id} what=${said.idOf} url=${atStripe(one, links)} at=${say.ids.atStripe} /></div>` },
    { key: "do", far: true, wide: true, label: said.todo, cell: (one) => one.remedy },
    actsOf(params),
  ];
  return all.filter(({ far }) => !(far && near));
}

const nameOf = (one) => one.email ?? one.name ?? one.customerId ?? say.nobody;

/** Where Stripe shows its payment, and with it the dispute. */
const atStripe = (one, links) => links && (one.paymentIntentId ?? one.chargeId) && `${links.stripe}/payments/${one.paymentIntentId ?? one.chargeId}`;

/** Until when it must be answered, and how many days that leaves; of what is over, when it came to its end. */
function Due({ one }) {
  const how = useStore(times);
  if (one.closedAt) return html`${said.closed} <${Time} at=${one.closedAt} />`;
  if (!one.dueBy) return said.noDate;
  const left = Math.floor((new Date(one.dueBy) - Date.now()) / DAY);
  return html`<time datetime=${one.dueBy} title=${time(one.dueBy, "utc")}>${day(one.dueBy, how)}</time> <div class="under"><${Badge} word="left" label=${said.left(left)} tone=${left < SOON ? "bad" : "off"} /></div>`;
}

/** Who it is, and the order that it is about, or that there is none. */
function Whom({ one }) {
  return html`
    ${one.customerId ? html`<${CustomerLink} id=${one.customerId} label=${nameOf(one)} />` : nameOf(one)}
    <div class="soft under">${one.orderId ? html`<a href=${href({ view: "orders", id: one.orderId })}>${said.order}</a>` : said.noOrder}</div>
  `;
}

/** Those of one order. @param {{disputes: object[], params: Record<string, string>}} props */
export function Disputes({ disputes, params }) {
  if (disputes.length === 0) return null;
  const near = Boolean(params.sel); // something's JSON stands beside: there is room for half
  const columns = [
    { key: "id", label: said.id, main: true, cell: (one) => html`<code>${one.id}</code>${near && html`<div class="under">${STATE.cell(one)}</div>`}` },
    { ...STATE, far: true },
    AMOUNT,
    DUE,
    { key: "at", far: true, label: said.at, cell: (one) => html`<${Time} at=${one.createdAt} />` },
    { key: "reason", far: true, label: said.reason, cell: (one) => one.reason },
    actsOf(params),
  ].filter(({ far }) => !(far && near));
  return html`
    <section class="card"><${Table} caption=${said.caption} columns=${columns} rows=${disputes} id=${(one) => one.id} sortable=${false} selected=${params.sel} /></section>
  `;
}

function Pack({ dispute, close }) {
  const [found, setFound] = useState({});
  const query = { dispute: dispute.id, format: "text" };
  const read = (signal) => {
    setFound({});
    return text(PATH, query, signal).then(
      (pack) => setFound({ pack }),
      (problem) => signal?.aborted || setFound({ problem }),
    );
  };
  useLayoutEffect(() => {
    const life = new AbortController();
    read(life.signal);
    return () => life.abort();
  }, []);
  return html`
    <${Dialog} title=${said.packTitle(dispute.id)} onClose=${close} wide>
      <p>${said.packSays} ${dispute.dueBy && html`<strong>${said.packDue} <${Time} at=${dispute.dueBy} /></strong>`}</p>
      ${found.problem && html`<${Failure} what=${said.reading} problem=${found.problem} again=${() => read()} />`}
      ${!found.pack && !found.problem && html`<${Loading} />`}
      ${found.pack && html`<pre class="pack" tabindex="0">${found.pack}</pre>`}
      <footer>
        <button type="button" class="quiet" onClick=${close}>${texts.dialog.close}</button>
        ${found.pack && html`<${Download} path=${PATH} query=${query} name=${`${dispute.id}.txt`} accept="text/plain" label=${said.file} title=${said.fileHint} />`}
        ${found.pack && html`<button type="button" class="main" onClick=${() => copy(found.pack)}>${said.copy}</button>`}
      </footer>
    <//>
  `;
}
