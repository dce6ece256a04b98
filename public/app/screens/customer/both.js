/** Desired against actual: what Stripe says, what should be and by which rule, what the panel has, what comes next. */

import * as format from "/app/format.js";
import { html } from "/app/markup.js";
import { Failure } from "/app/parts/notice.js";
import { Json } from "/app/parts/json.js";
import { Time } from "/app/parts/time.js";
import { Badge, Holds } from "/app/parts/words.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.both;
const { words } = format;

/**
 * @param {{live: ReturnType<import("/app/parts/data.js").useData>, queue: any, children: any}} props
 *   `live`: the customer with `explanation`; `queue`: whose problems are told above already; `children`: the buttons, which stand under what they change
 */
export function Both({ live, queue, children }) {
  const told = live.data?.explanation;
  return html`
    <section class="card">
      <header><h2>${said.title}</h2>${told && html`<button type="button" class="quiet" onClick=${live.reload}>${said.again}</button>`}</header>
      ${live.problem && html`<${Failure} what=${texts.customers.one.lookingWhat} problem=${live.problem} again=${live.reload} />`}
      ${live.loading && html`<p class="loading soft" aria-busy="true">${said.looking}</p>`}
      ${told && html`<${Told} told=${told} queue=${queue} />`}
      <div class="body acts">${children}</div>
    </section>
  `;
}

function Told({ told, queue }) {
  const rows = rowsOf(told);
  const away = Object.entries(told.away).filter(([, why]) => why);
  return html`
    ${away.map(([side, why]) => html`<div key=${side} class="notice warn inset"><p><strong>${said.away[side]}</strong>: ${why}</p></div>`)}
    ${rows.length > 0 && html`
      <div class="scroll" role="region" aria-label=${said.title} tabindex="-1">
        <table class="both">
          <caption class="hidden">${said.caption}</caption>
          <thead><tr>${["service", "stripe", "desired", "actual", "verdict"].map((name) => html`<th key=${name} scope="col">${said[name]}</th>`)}</tr></thead>
          <tbody>${rows.map((row) => html`<${Row} key=${row.name} row=${row} told=${told} />`)}</tbody>
        </table>
      </div>
    `}
    <${Next} next=${told.next} told=${(queue?.problems ?? []).map((problem) => problem.detail)} />
    <div class="body"><${Json} value=${told} /></div>
  `;
}

/** One row for each service that should be, is remembered or is in the panel. */
function rowsOf(told) {
  const name = (goal) => (goal.slot > 1 ? `${goal.subscriptionId}/${goal.slot}` : goal.subscriptionId);
  const desired = new Map(told.desired.map((goal) => [name(goal), goal]));
  const actual = new Map((told.actual?.subscriptions ?? []).map((found) => [found.service ?? `#${found.panelSubscriptionId}`, found]));
  const remembered = new Map(told.remembered.map((service) => [service.service, service]));
  const truth = new Map((told.truth?.subscriptions ?? []).map((sub) => [sub.id, sub]));
  return [...new Set([...desired.keys(), ...remembered.keys(), ...actual.keys()])].map((key) => ({
    name: key,
    desired: desired.get(key),
    actual: actual.get(key),
    remembered: remembered.get(key),
    stripe: truth.get(key.split("/")[0]),
    changes: told.next.actions.filter((action) => action.service === key || (action.service === null && desired.has(key))),
  }));
}

function Row({ row, told }) {
  const waits = told.next.outcome.problems.some((problem) => `${problem.subject} ${problem.detail}`.includes(row.name));
  const verdict = row.changes.length ? "differs" : waits ? "parked" : "equal";
  return html`
    <tr>
      <th scope="row" data-label=${said.service}><div>${row.remembered?.domain ?? row.desired?.domain ?? row.actual?.plan}<div><code class="soft">${row.name}</code></div></div></th>
      <td data-label=${said.stripe}><div>${told.truth ? html`<${AtStripe} sub=${row.stripe} />` : said.notRead}</div></td>
      <td data-label=${said.desired}><div><${Desired} goal=${row.desired} /></div></td>
      <td data-label=${said.actual}><div>${told.actual ? html`<${Actual} found=${row.actual} />` : said.notRead}</div></td>
      <td data-label=${said.verdict}><div>${told.actual && told.truth && html`<${Badge} word=${verdict} label=${said.verdicts[verdict]} />`}</div></td>
    </tr>
  `;
}

function AtStripe({ sub }) {
  if (!sub) return html`<span class="soft">${said.missing}</span>`;
  return html`
    <div>
      <${Badge} word=${sub.status} tone=${["active", "trialing"].includes(sub.status) ? "good" : "warn"} />
      ${sub.openInvoices.map((invoice) => html`<div key=${invoice.id} class="soft">${said.owed(format.money(invoice.due, invoice.currency, invoice.exponent))} ${said.owedSince} <${Time} at=${invoice.since} /></div>`)}
      ${sub.cancelAt && html`<div class="soft">${texts.customers.one.services.cancelAt} <${Time} at=${sub.cancelAt} /></div>`}
    </div>
  `;
}

const WANTS = { on: "good", off: "warn", gone: "off" };

function Desired({ goal }) {
  if (!goal) return html`<span class="soft">${said.missing}</span>`;
  return html`
    <div>
      <${Badge} word=${goal.want} label=${said.wants[goal.want] ?? words(goal.want)} tone=${WANTS[goal.want]} /> ${goal.plan}
      <div class="soft">${said.by} ${words(goal.rule)}${goal.means && `: ${goal.means}`}</div>
      ${goal.holds.some((hold) => hold !== goal.rule) && html`<div><${Holds} holds=${goal.holds} /></div>`}
    </div>
  `;
}

function Actual({ found }) {
  if (!found) return html`<span class="soft">${said.missing}</span>`;
  return html`
    <div>
      <${Badge} word=${found.state} label=${said.wants[found.state] ?? found.state} tone=${found.state === "on" ? "good" : "warn"} /> ${found.plan}
      ${found.suspendedBy && html`<div class="soft">${said.suspendedBy(found.suspendedByBridge ? said.byUs : found.suspendedBy)}</div>`}
    </div>
  `;
}

function Next({ next, told }) {
  const { outcome } = next;
  const problems = outcome.problems.filter((problem) => !told.includes(problem.detail));
  return html`
    <div class="body next">
      ${next.actions.length === 0 && outcome.state === "settled" && html`<p class="soft">${said.nothing}</p>`}
      ${next.actions.length > 0 && html`
        <p><strong>${said.would}</strong></p>
        <ol>${next.actions.map((action, place) => html`<li key=${place}>${texts.does[action.kind] ?? words(action.kind)} <span class="soft">${said.by} ${words(action.rule)}</span> ${action.service && html`<code class="soft">${action.service}</code>`}</li>`)}</ol>
      `}
      ${(next.actions.length > 0 || outcome.state !== "settled") && html`
        <p class="soft">${said.outcome[outcome.state]}${outcome.error && `: ${outcome.error}`}</p>
        ${problems.map((problem) => html`<p key=${problem.detail}>${problem.detail} <span class="soft">${problem.remedy}</span></p>`)}
      `}
    </div>
  `;
}
