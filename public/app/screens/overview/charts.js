/** How many events came and by which way, and what each sweep found. */

import * as format from "/app/format.js";
import { html } from "/app/markup.js";
import { Bars } from "/app/parts/chart.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";

const said = texts.overview.charts;

/** @param {{charts: {eventsPerHour: {at: string, webhook: number, sweep: number}[], sweeps: {at: string, found: number, made: number}[]}}} props */
export function Charts({ charts }) {
  const how = useStore(times);
  const time = (at) => format.time(at, how === "utc" ? "utc" : "local");
  const { eventsPerHour: hours } = charts;
  const sweeps = [...charts.sweeps].sort((a, b) => a.at.localeCompare(b.at));
  return html`
    <div class="two">
      <section class="card"><div class="body">
        <${Bars} title=${said.events} hint=${said.eventsHint} at=${hours.map((hour) => hour.at)} time=${time}
          series=${[{ label: said.webhook, tone: "accent", values: hours.map((hour) => hour.webhook) }, { label: said.sweep, tone: "warn", values: hours.map((hour) => hour.sweep) }]} />
      </div></section>
      <section class="card"><div class="body">
        <${Bars} title=${said.sweeps} hint=${said.sweepsHint} at=${sweeps.map((sweep) => sweep.at)} time=${time}
          series=${[{ label: said.made, tone: "accent", values: sweeps.map((sweep) => sweep.made) }, { label: said.found, tone: "warn", values: sweeps.map((sweep) => sweep.found) }]} />
      </div></section>
    </div>
  `;
}
