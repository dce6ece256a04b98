/** Is it healthy, who waits, what comes next: one verdict, and under it what it rests on. */

import { count, duration, words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Failure, Loading } from "/app/parts/notice.js";
import { Time } from "/app/parts/time.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";
import { Alerts } from "/app/screens/overview/alerts.js";
import { Charts } from "/app/screens/overview/charts.js";
import { Machine } from "/app/screens/overview/machine.js";
import { Money } from "/app/screens/overview/money.js";
import { People } from "/app/screens/overview/people.js";
import { Upcoming } from "/app/screens/overview/upcoming.js";

const said = texts.overview;

/** @param {{dashboard: ReturnType<import("/app/parts/data.js").useData>}} props */
export default function Overview({ dashboard }) {
  const { data, problem, reload } = dashboard;
  if (!data) return problem ? html`<${Failure} what=${said.what} problem=${problem} again=${reload} />` : html`<${Loading} />`;
  return html`
    <h1 class="hidden">${texts.screens.overview}</h1>
    <div class="stack">
      ${problem && html`<${Failure} what=${said.what} problem=${problem} again=${reload} />`}
      <${Verdict} verdict=${data.verdict} at=${dashboard.at} />
      <${Alerts} alerts=${data.openAlerts} />
      <${Numbers} data=${data} />
      <div class="two wide-left">
        <div class="stack">
          <${People} groups=${data.queue.parked.groups} />
          <${Upcoming} />
        </div>
        <div class="stack">
          <${Machine} data=${data} reload=${reload} />
          <${Money} orders=${data.orders} />
        </div>
      </div>
      <${Charts} charts=${data.charts} />
    </div>
  `;
}

/** Where each kind of what waits for a person is seen and done. */
const NEEDS = {
  parked: { view: "work", state: "parked" },
  braked: { view: "work", state: "braked" },
  receivers: { view: "events", direction: "out" },
  disputes: { view: "orders", only: "disputed" },
  to_return: { view: "orders", only: "overpaid" },
  part_paid: { view: "orders", only: "openOffline" },
};
const TONES = { equal: "good", working: "info", attention: "warn", stuck: "bad" };

function Verdict({ verdict, at }) {
  const line = verdict.state === "attention" ? said.verdict.attention(verdict.needYou) : said.verdict[verdict.state];
  return html`
    <section class=${`verdict ${TONES[verdict.state]}`} aria-label=${texts.screens.overview}>
      <p class="line">${line}</p>
      <p>${verdict.state === "attention" && verdict.needs.length ? verdict.needs.map((need, place) => html`${place > 0 && ", "}<a key=${need.what} href=${href(NEEDS[need.what])}>${need.says}</a>`) : verdict.detail}</p>
      ${at && html`<p class="soft at"><${Time} at=${new Date(at).toISOString()} /></p>`}
    </section>
  `;
}

function Numbers({ data }) {
  const { services, holds, queue, events, paidToLive } = data;
  const held = Object.entries(holds).filter(([, number]) => number > 0);
  const waiting = Object.values(queue.waiting).reduce((sum, number) => sum + number, 0);
  const oldest = queue.oldestDueAt ? html`${said.numbers.oldestDue} <${Time} at=${queue.oldestDueAt} />` : said.numbers.nothingDue;
  return html`
    <section class="tiles" aria-label=${said.numbers.title}>
      <${Tile} label=${said.numbers.live} value=${count(services.live)} href="/?view=customers&state=live">${count(data.customers)} ${said.numbers.customers}</${Tile}>
      <${Tile} label=${said.numbers.suspended} value=${count(services.suspended)} href="/?view=customers&state=suspended">
        ${held.map(([hold, number], place) => html`${place > 0 && " · "}<a key=${hold} href=${`/?view=customers&hold=${hold}`}>${texts.holds[hold] ?? words(hold)} ${count(number)}</a>`)}
      </${Tile}>
      <${Tile} label=${said.numbers.pending} value=${count(services.pending)} href="/?view=customers&state=pending">
        ${said.numbers.firstPayment}
      </${Tile}>
      <${Tile} label=${said.numbers.due} value=${count(queue.due)} href="/?view=work&state=due">${oldest}${waiting > 0 && html` · <a href="/?view=work&state=waiting">${said.numbers.waiting(count(waiting))}</a>`}</${Tile}>
      ${paidToLive && html`
        <${Tile} label=${said.numbers.paidToLive} value=${duration(paidToLive.p50Seconds)}>
          ${said.numbers.most(duration(paidToLive.p95Seconds))} · ${said.numbers.ofDays(paidToLive.count)}
        </${Tile}>
      `}
      <${Tile} label=${said.numbers.events} value=${count(events.lastDay)} href="/?view=events">
        ${events.newestWebhookAt ? html`${said.numbers.newestEvent} <${Time} at=${events.newestWebhookAt} />` : said.numbers.noEvent}
      </${Tile}>
    </section>
  `;
}

function Tile({ label, value, href, children }) {
  return html`
    <div class="tile">
      <p class="soft">${label}</p>
      <p class="value">${href ? html`<a href=${href}>${value}</a>` : value}</p>
      <p class="soft note">${children}</p>
    </div>
  `;
}
