/** What happened, newest first: event -> facts -> rule -> action -> verified; undone where there is an inverse. */

import * as format from "/app/format.js";
import { html, useState } from "/app/markup.js";
import { useFurther } from "/app/parts/data.js";
import { Json } from "/app/parts/json.js";
import { More } from "/app/parts/list.js";
import { Empty } from "/app/parts/notice.js";
import { Time } from "/app/parts/time.js";
import { Undo } from "/app/screens/customer/undo.js";
import { Badge } from "/app/parts/words.js";
import { go, href } from "/app/router.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.timeline;
const { words } = format;
const NONE = { planned: null, entries: [], cursor: null, busy: false, problem: null };

/**
 * @param {{customer: any, planned?: string, params: Record<string, string>, reload: () => void}} props
 *   `planned`: whether `customer` was read with what was only planned; of `params` it may be another already
 */
export function Timeline({ customer, planned, params, reload }) {
  const how = useStore(times);
  const [kept, keep] = useState(NONE);
  const further = useFurther([planned]);
  const here = kept.planned === planned ? kept : NONE;
  const { entries: loaded, cursor } = joined(customer.timeline, here);
  const more = () => {
    const tell = (part) => keep({ ...here, planned, busy: false, problem: null, ...part });
    further.ask("/api/admin/customers", { id: customer.customerId, planned, limit: 50, cursor }, {
      begun: () => tell({ busy: true }),
      come: ({ timeline: page }) => tell({ entries: [...loaded, ...page.data], cursor: page.nextCursor }),
      failed: (problem) => tell({ problem }),
    });
  };
  const quiet = params.quiet === "true";
  const entries = quiet ? loaded.filter((entry) => entry.source !== "event") : loaded;
  const set = (name) => (event) => go({ ...params, [name]: event.target.checked ? "true" : undefined });
  return html`
    <section class="card timeline" aria-busy=${planned === params.planned ? undefined : "true"}>
      <header>
        <h2>${said.title}</h2>
        <span class="row">
          <label class="soft"><input type="checkbox" checked=${quiet} onChange=${set("quiet")} /> ${said.quiet}</label>
          <label class="soft"><input type="checkbox" checked=${params.planned === "true"} onChange=${set("planned")} /> ${said.planned}</label>
        </span>
      </header>
      ${entries.length === 0 && html`<${Empty} says=${loaded.length ? said.onlyEvents : said.none} />`}
      ${byDay(entries, how).map(([day, some]) => html`
        <h3 key=${day} class="day">${day}</h3>
        <ol class="rows">${some.map((entry) => html`<${Entry} key=${nameOf(entry)} entry=${entry} customer=${customer} reload=${reload} />`)}</ol>
      `)}
      <${More} what=${said.what} more=${cursor && planned === params.planned ? more : null} busy=${here.busy} lack=${here.problem} />
    </section>
  `;
}

const nameOf = (entry) => `${entry.source} ${entry.id}`;

/**
 * The newest page, and behind it what was loaded before and is older. The newest one is read again and again: what was on
 * it goes on to be shown when newer entries have moved it off. Where the two don't meet any more there would be a gap.
 */
function joined(first, kept) {
  const last = first.data.length ? nameOf(first.data.at(-1)) : null;
  const at = kept.entries.findIndex((entry) => nameOf(entry) === last);
  if (at < 0) return { entries: first.data, cursor: first.nextCursor };
  return { entries: [...first.data, ...kept.entries.slice(at + 1)], cursor: kept.cursor };
}

function byDay(entries, how) {
  const days = new Map();
  for (const entry of entries) {
    const day = format.day(entry.at, how);
    days.set(day, [...(days.get(day) ?? []), entry]);
  }
  return [...days];
}

function Entry({ entry, customer, reload }) {
  const failed = entry.state === "failed" || entry.facts.error;
  const title = entry.source === "action" ? (texts.kinds[entry.kind] ?? words(entry.kind)) : entry.source === "event" ? entry.kind : words(entry.kind);
  const error = entry.steps.findLast((step) => step.error)?.error ?? entry.facts.error ?? notArrived(entry);
  return html`
    <li class=${`entry ${entry.source} ${failed ? "failed" : (entry.state ?? "")}`}>
      <p class="title">
        <span class="soft source">${said[entry.source]}</span>
        ${entry.source === "event" ? html`<a href=${href({ view: "events", id: entry.id })}>${title}</a>` : html`<strong>${title}</strong>`}
        ${entry.service && html`<code class="soft">${entry.service}</code>`}
        <span class="when soft"><${Time} at=${entry.at} /></span>
      </p>
      <${Chain} entry=${entry} />
      ${error && html`<p class="fault">${error}</p>`}
      <div class="more-of">
        ${entry.undo && html`<${Undo} undo=${entry.undo} customer=${customer} done=${reload} />`}
        <${Json} value=${entry} />
      </div>
    </li>
  `;
}

/** What the mail server said of a mail that did not arrive. */
function notArrived(entry) {
  if (entry.source !== "notice" || !["refused", "bounced", "unsure"].includes(entry.state)) return undefined;
  const said = entry.steps.at(-1)?.after;
  return said?.reported ?? said?.answer;
}

/** facts -> rule -> steps, each only where there is one. */
function Chain({ entry }) {
  const facts = told(entry);
  const by = entry.actor && entry.actor !== "bridge" ? said.by(entry.actor) : null;
  return html`
    <div class="chain">
      ${facts.length > 0 && html`<span class="facts soft">${facts.slice(0, 6).map(([name, value]) => html`<span key=${name}>${words(name)} <b>${shown(value)}</b></span>`)}</span>`}
      ${entry.rule && html`<span class="rule"><span class="soft">${said.rule}</span> ${words(entry.rule)}</span>`}
      ${by && html`<span class="soft">${by}</span>`}
      ${entry.steps.length > 0 && html`<span class="states">${entry.steps.map((step, place) => html`<${Step} key=${place} step=${step} began=${entry.steps[0].at} first=${place === 0} />`)}</span>`}
    </div>
  `;
}

const USUAL = { outcome: "accepted", source: "webhook" };
const LATE = 600_000; // ms after which an event's own time is worth telling beside when it came

/** The facts that say something to a person; all of them are in the JSON. */
function told({ source, at, facts }) {
  const { error, token, amount, currency, exponent, created_at: happened, ...more } = facts;
  const found = Object.entries(more).filter(([name, value]) => value !== null && value !== "" && typeof value !== "object" && !(source === "event" && USUAL[name] === value));
  if (amount !== undefined) found.unshift(["amount", format.money(amount, currency, exponent)]);
  if (happened && new Date(at) - new Date(happened) > LATE) found.push([said.happened, happened]);
  return found;
}

const shown = (value) => (format.isTime(value) ? html`<${Time} at=${value} />` : String(value).length > 60 ? `${String(value).slice(0, 60)}…` : String(value));

function Step({ step, began, first }) {
  const seconds = (new Date(step.at) - new Date(began)) / 1000;
  return html`<${Badge} word=${step.state} label=${said.steps[step.state] ?? words(step.state)} title=${first ? undefined : said.took(format.duration(seconds))} />`;
}
