/** Plans: what each price buys, what waits for a mapping, and what a change would do before it is made. */

import { html, useLayoutEffect } from "/app/markup.js";
import { useList } from "/app/parts/data.js";
import { Download, List } from "/app/parts/list.js";
import { Empty } from "/app/parts/notice.js";
import { present } from "/app/parts/presented.js";
import { Table } from "/app/parts/table.js";
import { go, whereNow } from "/app/router.js";
import { Changes } from "/app/screens/plans/changes.js";
import { Change, drafted } from "/app/screens/plans/draft.js";
import { costs, Plan, Price } from "/app/screens/plans/price.js";
import { WhatIf } from "/app/screens/plans/whatif.js";
import { plans as say } from "/app/texts/plans.js";

const PATH = "/api/admin/plans";
const PAGE = 200; // mappings; as many as the API gives at once, so that most operators see all of them

/** The screen. `?price=...` opens the draft of that price's mapping, so that other screens can link to it. */
export default function Plans({ params }) {
  const list = useList(PATH, { limit: PAGE });
  const all = list.answer;
  const open = (change) => present(Change, { change, choices: all.plans, left, done: list.reload });
  useLayoutEffect(() => {
    if (!all || !params.price) return undefined;
    return open(changeOf(params.price, all, list.rows)); // gone with its address, as by the back key
  }, [Boolean(all), params.price]);
  return html`
    <div class="head"><h1>${say.title}</h1><button type="button" disabled=${!all} onClick=${() => open({ draft: drafted({}), waiting: 0 })}>${say.mapped.add}</button></div>
    <div class="stack">
    ${all && Object.entries(all.away).map(([side, why]) => html`<p key=${side} class="notice warn" role="status">${say.away(side, why)}</p>`)}
    ${all && html`<${Unmapped} all=${all} open=${open} />`}
    <section class="card">
      <header><h2>${say.mapped.title}</h2><${Download} path=${PATH} query=${{}} name="plans.csv" /></header>
      <${List} list=${list} what=${say.reading} empty=${{ says: say.mapped.none, next: say.mapped.next }}>
        ${all && html`<${Mappings} all=${all} rows=${list.rows ?? []} open=${open} params=${params} />`}
      <//>
    </section>
    ${all?.rules.length > 0 && html`<${Rules} rules=${all.rules} />`}
    ${all?.changes && html`<section class="card"><header><h2>${say.changes.caption}</h2></header><${Changes} changes=${all.changes} revert=${(one) => open(revertOf(one))} /></section>`}
    <${WhatIf} />
    </div>
  `;
}

/** A draft that was left is not in the address any more. */
function left() {
  const { view, price } = whereNow();
  if (view === "plans" && price) go({ view: "plans" }, { replace: true });
}

/** The draft of one price, wherever it stands now. */
function changeOf(price, all, rows) {
  const row = rows.find((one) => one.billingPlanId === price);
  const waiting = all.unmapped.find((one) => one.billingPlanId === price)?.customers ?? 0;
  return { draft: drafted(row ?? { billingPlanId: price }), fixed: true, waiting };
}

/** The change that sets back another one, as the server says it. */
function revertOf({ undo }) {
  if (undo.method === "DELETE") return { remove: undo.body, waiting: 0 };
  return { draft: drafted(undo.body), fixed: true, waiting: 0 };
}

function Unmapped({ all, open }) {
  const said = say.unmapped;
  const asked = !("stripe" in all.away);
  const columns = [
    { key: "price", label: said.price, main: true, cell: (one) => html`<${Price} id=${one.billingPlanId} price=${one.price} asked=${asked} />` },
    { key: "costs", label: said.costs, cell: (one) => costs(one.price) },
    { key: "waiting", label: said.waiting, number: true, cell: (one) => one.customers },
    {
      key: "act", label: said.act,
      cell: (one) => html`<button type="button" class="main" aria-label=${said.map(one.price?.name ?? one.billingPlanId)} onClick=${() => open(changeOf(one.billingPlanId, all, []))}>${said.button}</button>`,
    },
  ];
  return html`
    <section class="card">
      <header><h2>${said.caption}</h2></header>
      ${all.unmapped.length === 0
        ? html`<${Empty} says=${said.none} />`
        : html`<${Table} caption=${said.caption} quiet columns=${columns} rows=${all.unmapped} id=${(one) => one.billingPlanId} sortable=${false} />`}
    </section>
  `;
}

function Mappings({ all, rows, open, params }) {
  const said = say.mapped;
  const asked = (side) => !(side in all.away);
  const columns = [
    { key: "price", label: said.price, main: true, sort: (row) => row.price?.name ?? row.billingPlanId, cell: (row) => html`<${Price} id=${row.billingPlanId} price=${row.price} provider=${row.billingProvider} asked=${asked("stripe")} />` },
    { key: "costs", label: said.costs, cell: (row) => costs(row.price) },
    { key: "plan", label: said.plan, sort: (row) => row.plan?.name ?? row.enhancePlanId, cell: (row) => html`<${Plan} row=${row} asked=${asked("panel")} />` },
    { key: "services", label: said.services, number: true, sort: (row) => row.services, cell: (row) => row.services },
    { key: "terms", label: said.terms, cell: (row) => (row.kind === "service" ? say.terms(row) : "") },
    {
      key: "act", label: said.act,
      cell: (row) => html`
        <span class="row">
          <button type="button" aria-label=${said.changeOf(row.billingPlanId)} onClick=${() => open({ draft: drafted(row), fixed: true, waiting: 0 })}>${said.change}</button>
          <button type="button" class="quiet" aria-label=${said.removeOf(row.billingPlanId)} onClick=${() => open({ remove: row, waiting: 0 })}>${said.remove}</button>
        </span>`,
    },
  ];
  return html`<${Table} caption=${said.caption} quiet columns=${columns} rows=${rows} id=${(row) => `${row.billingProvider} ${row.billingPlanId}`} params=${params} />`;
}

function Rules({ rules }) {
  const said = say.rules;
  const columns = [
    { key: "base", label: said.base, main: true, cell: (rule) => html`<code>${rule.basePlanId}</code>` },
    { key: "addon", label: said.addon, cell: (rule) => html`<code>${rule.addonPlanId}</code>` },
    { key: "least", label: said.least, number: true, cell: (rule) => rule.minQuantity },
    { key: "plan", label: said.plan, cell: (rule) => html`<code>${rule.enhancePlanId}</code>` },
  ];
  const id = (rule) => `${rule.basePlanId} ${rule.addonPlanId} ${rule.minQuantity}`;
  return html`
    <section class="card">
      <header><h2>${said.caption}</h2><span class="soft">${said.note}</span></header>
      <${Table} caption=${said.caption} quiet columns=${columns} rows=${rules} id=${id} sortable=${false} />
    </section>
  `;
}
