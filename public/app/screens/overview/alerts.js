/** What calls for a person besides those who are parked, and a receiver of alerts that refused to hear it. */

import { html } from "/app/markup.js";
import { Time } from "/app/parts/time.js";
import { words } from "/app/format.js";
import { texts } from "/app/texts.js";

const said = texts.overview;
const SHOWN_BELOW = ["parked"];

/**
 * @param {{alerts: {code: string, detail: string, remedy: string}[], open?: {cause: string, title: string, detail: string, remedy: string, openedAt: string, lastToldAt: string|null, deliveryError: string|null}[]}} props
 *   `alerts`: as of now; `open`: those that were told to somebody, and since when
 */
export function Alerts({ alerts, open = [] }) {
  const told = new Set(open.map((alert) => alert.cause.split(":")[0]));
  const now = alerts.filter(({ code }) => !SHOWN_BELOW.includes(code) && !told.has(code));
  const since = open.filter((alert) => !SHOWN_BELOW.includes(alert.cause) || alert.deliveryError);
  if (!now.length && !since.length) return null;
  return html`
    <section class="stack tight" aria-label=${said.alerts}>
      ${since.map((alert) => html`<${Told} key=${alert.cause} alert=${alert} />`)}
      ${now.map((alert) => html`<div key=${`${alert.code} ${alert.detail}`} class="notice warn"><p><strong>${words(alert.code)}</strong>: ${alert.detail}</p><p>${alert.remedy}</p></div>`)}
    </section>
  `;
}

function Told({ alert }) {
  return html`
    <div class="notice warn">
      <p><strong>${alert.title}</strong>: ${alert.detail}</p>
      <p>${alert.remedy}</p>
      <p class="soft">${said.opened} <${Time} at=${alert.openedAt} />${alert.lastToldAt && html` · ${said.told} <${Time} at=${alert.lastToldAt} />`}</p>
      ${alert.deliveryError && html`<p class="fault">${said.notTold} ${alert.deliveryError}</p>`}
    </div>
  `;
}
