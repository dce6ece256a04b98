/**
 * A small chart, and the same numbers as a table for those who do not see it. uPlot is fetched when something is drawn:
 * it is larger than all of the page.
 */

import { count } from "/app/format.js";
import { html, useLayoutEffect, useRef } from "/app/markup.js";
import { times } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";

const HEIGHT = 132; // px: small, beside its neighbours

/**
 * Bars over time, one on top of another.
 *
 * @param {{title: string, hint?: string, at: string[], series: {label: string, tone: string, values: number[]}[], time: (at: string) => string}} props
 *   `at`: ISO 8601, ascending; `tone`: a colour of app.css, such as "accent"; `time`: how a time is written in the table
 */
export function Bars({ title, hint, at, series, time }) {
  const box = useRef(null);
  const how = useStore(times);
  useLayoutEffect(() => {
    if (!at.length) return undefined;
    const life = new AbortController();
    import("/vendor/uplot.js").then(
      ({ default: uPlot }) => life.signal.aborted || show(uPlot, box.current, { at, series, how }, life.signal),
      (problem) => console.info(problem), // such as the network: the table says the same
    );
    return () => life.abort();
  }, [JSON.stringify([at, series]), how]);
  return html`
    <figure class="chart">
      <figcaption><strong>${title}</strong> <span class="soft">${hint}</span></figcaption>
      ${at.length ? html`<div ref=${box} class="plot" aria-hidden="true"></div>` : html`<p class="soft">${texts.overview.charts.none}</p>`}
      <p class="legend">${series.map((one) => html`<span key=${one.label} class=${`key ${one.tone}`}>${one.label} <b>${count(one.values.reduce((sum, value) => sum + value, 0))}</b></span>`)}</p>
      ${at.length > 0 && html`
        <details>
          <summary>${texts.overview.charts.table}</summary>
          <div class="scroll short" role="region" aria-label=${title} tabindex="0">
            <table>
              <caption class="hidden">${title}</caption>
              <thead><tr><th scope="col">${texts.overview.charts.at}</th>${series.map((one) => html`<th scope="col" class="number" key=${one.label}>${one.label}</th>`)}</tr></thead>
              <tbody>${at.map((when, row) => html`<tr key=${when}><th scope="row">${time(when)}</th>${series.map((one) => html`<td class="number" key=${one.label}>${count(one.values[row])}</td>`)}</tr>`)}</tbody>
            </table>
          </div>
        </details>
      `}
    </figure>
  `;
}

/** Draw it, and keep it as wide as its place and in the colours of the theme until `signal`. */
function show(uPlot, place, what, signal) {
  const made = draw(uPlot, place, what);
  const fit = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT }));
  fit.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.redraw(), { signal });
  signal.addEventListener("abort", () => {
    fit.disconnect();
    made.destroy();
  });
}

/** Colours are read when they are painted: they follow the theme. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function draw(uPlot, place, { at, series, how }) {
  const seconds = at.map((one) => Date.parse(one) / 1000);
  const step = seconds.length > 1 ? Math.max(1, Math.min(...seconds.slice(1).map((one, index) => one - seconds[index]))) : 3600;
  const tops = series.map((_, index) => at.map((__, row) => series.slice(0, index + 1).reduce((sum, one) => sum + one.values[row], 0)));
  const shown = series.map((one, index) => ({ ...one, top: tops[index] })).reverse(); // the highest first, the others before it
  const axis = { stroke: () => colour("soft"), font: "11px system-ui", ticks: { show: false } };
  return new uPlot(
    {
      width: place.clientWidth || 320,
      height: HEIGHT,
      tzDate: (stamp) => (how === "utc" ? uPlot.tzDate(new Date(stamp * 1000), "Etc/UTC") : new Date(stamp * 1000)),
      cursor: { show: false },
      legend: { show: false },
      padding: [8, 8, 0, 0],
      scales: { x: { range: [seconds[0] - step / 2, seconds.at(-1) + step / 2] }, y: { range: (_, __, max) => [0, Math.max(max, 4)] } },
      axes: [
        { ...axis, grid: { show: false }, size: 24, space: 70, values: (_, ticks) => ticks.map((tick) => clock(tick, how)) },
        { ...axis, grid: { stroke: () => colour("line"), width: 1 }, size: 34, space: 32, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000, 100000] },
      ],
      series: [{}, ...shown.map((one) => ({ label: one.label, points: { show: false }, width: 0, fill: () => colour(one.tone), stroke: () => colour(one.tone), paths: uPlot.paths.bars({ size: [0.8, 24], radius: 0.15 }) }))],
    },
    [seconds, ...shown.map((one) => one.top)],
    place,
  );
}

function clock(seconds, how) {
  const zone = how === "utc" ? { timeZone: "UTC" } : {};
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...zone }).format(new Date(seconds * 1000));
}
