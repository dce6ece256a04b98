/** Mode, brake, sweep, database and the operator's own systems: with who and when. */

import { post } from "/app/api.js";
import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Act } from "/app/parts/act.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink } from "/app/parts/words.js";
import { texts } from "/app/texts.js";

const said = texts.overview.machine;

/** @param {{data: any, reload: () => void}} props the dashboard */
export function Machine({ data, reload }) {
  const { brake, migration } = data;
  return html`
    <section id="machine" class="card">
      <header><h2>${said.title}</h2><${SweepNow} reload=${reload} /></header>
      <div class="body">
        <dl class="facts">
          <dt>${said.mode}</dt><dd><${Badge} word=${data.mode} label=${texts.frame.modes[data.mode]} tone=${data.mode === "live" ? "good" : "warn"} /> <span class="soft">${texts.frame.modeMeans[data.mode]}</span></dd>
          <dt>${said.brake}</dt><dd><${Brake} counts="suspensions" found=${brake} reload=${reload} /><div class="soft">${said.brakeLimits(brake.max, brake.percent)}</div></dd>
          ${brake.moves.engaged && html`<dt>${said.moves}</dt><dd><${Brake} counts="moves" found=${brake.moves} reload=${reload} /></dd>`}
          <dt>${said.sweep}</dt><dd><${Sweep} sweep=${data.sweep} /></dd>
          <dt>${said.migration}</dt><dd>${migration.applied === migration.wanted ? said.migrationDone(migration.applied) : html`<span class="fault">${said.migrationOld(migration.applied, migration.wanted)}</span>`}</dd>
          <dt>${said.version}</dt><dd><code>${data.version}</code></dd>
          ${data.outgoing?.endpoints.length > 0 && html`<dt>${said.endpoints}</dt><dd>${data.outgoing.endpoints.map((one) => html`<${Endpoint} key=${one.id} endpoint=${one} />`)}</dd>`}
        </dl>
      </div>
    </section>
  `;
}

const WAITING = [
  { key: "customer", label: said.release.columns.customer, main: true, cell: (row) => html`<${CustomerLink} id=${row.customerId} />` },
  { key: "service", label: said.release.columns.service, cell: (row) => html`<code>${row.subscriptionId}${row.slot > 1 ? `/${row.slot}` : ""}</code>` },
  { key: "kind", label: said.release.columns.kind, cell: (row) => texts.does[row.kind] ?? words(row.kind) },
];

/** How one of the two brakes stands; its button releases this one, for those who are shown. */
function Brake({ counts, found, reload }) {
  const { waiting } = found;
  const release = said.release[counts];
  if (!found.engaged) return html`<${Badge} word=${said.brakeOff} tone="good" />${found.releasedAt && html` <span class="soft">${said.released(found.releasedBy)} <${Time} at=${found.releasedAt} /></span>`}`;
  const says = html`<p>${release.says(waiting.total)}</p><div class="within"><${Table} caption=${said.release.stopped} columns=${WAITING} rows=${waiting.services} id=${(row) => `${row.subscriptionId}/${row.slot}`} sortable=${false} /></div>`;
  return html`
    <${Badge} word=${said.brakeOn(waiting.total)} tone="bad" /> <${Time} at=${found.engagedAt} />
    <p>${found.reason}</p>
    <${Act} label=${release.label(waiting.total)} title=${release.title} says=${says} what=${said.release.what} tone="bad"
      fields=${[{ name: "reason", label: texts.act.reason }]}
      send=${({ reason }, signal) => post("/api/admin/work", { action: "releaseBrake", counts, expected: waiting.total, digest: waiting.digest, reason: reason || null }, { signal })}
      applied=${(answer) => ({ state: "done", lines: [said.release.done(answer.released)] })} done=${reload} />
  `;
}

function Sweep({ sweep }) {
  if (!sweep) return said.sweepNever;
  const left = Object.keys(sweep.errors);
  return html`
    ${sweep.finishedAt ? html`${said.sweepDone} <${Time} at=${sweep.finishedAt} />` : html`<${Badge} word=${said.sweepRunning(words(sweep.phase))} tone="info" /> <${Time} at=${sweep.startedAt} />`}
    <div class="soft">${sweep.askedBy ? said.sweepAsked(sweep.askedBy) : said.sweepTime}</div>
    <div class="soft">${Object.entries(sweep.counts).map(([what, number]) => `${words(what)} ${number}`).join(" · ")}</div>
    ${left.length > 0 && html`<div class="fault" title=${Object.values(sweep.errors).join("; ")}>${said.sweepPartial(left.map(words).join(", "))}</div>`}
  `;
}

function SweepNow({ reload }) {
  const now = said.sweepNow;
  return html`
    <${Act} label=${now.label} title=${now.title} says=${now.says} what=${now.what} quiet done=${reload}
      send=${(_, signal) => post("/api/admin/sync", { all: true }, { signal })}
      applied=${(answer) => ({ state: "done", lines: [now.begun(answer.customers)] })} />
  `;
}

function Endpoint({ endpoint }) {
  return html`
    <div>
      <${Badge} word=${endpoint.state} label=${said.endpoint[endpoint.state]} tone=${endpoint.state === "ok" ? "good" : "bad"} /> <code>${endpoint.url}</code>
      ${endpoint.waiting > 0 && html`<div class="soft">${said.endpointWaits(endpoint.waiting)}${endpoint.error && `: ${endpoint.error}`}</div>`}
    </div>
  `;
}
