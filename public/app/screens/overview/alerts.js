/** What calls for a person besides those who are parked; since when, whether it was told, and a receiver that refused it. */

import { html } from "/app/markup.js";
import { Time } from "/app/parts/time.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const said = texts.overview;

/** @param {{alerts: {cause: string, title: string, detail: string, remedy: string, openedAt: string|null, lastToldAt: string|null, deliveryError: string|null, over: boolean}[]}} props */
export function Alerts({ alerts }) {
  const shown = alerts.filter(({ cause, deliveryError }) => !cause.startsWith("parked") || deliveryError); // the others stand below
  if (!shown.length) return null;
  return html`
    <section class="card alerts" aria-label=${said.alerts}>
      <ul>${shown.map((alert) => html`<${Alert} key=${alert.cause} alert=${alert} />`)}</ul>
    </section>
  `;
}

function Alert({ alert }) {
  const here = said.codes[alert.cause.split(":")[0]];
  return html`
    <li>
      <p><strong>${alert.over ? said.over(alert.title) : alert.title}</strong> ${alert.openedAt && html`<span class="soft"><${Time} at=${alert.openedAt} /></span>`}</p>
      ${!alert.over && html`<p>${alert.detail}</p>`}
      ${!alert.over && html`<p class="soft">${here?.does ?? alert.remedy} ${here?.part && html`<a href=${`#${here.part}`}>${here.there}</a> `}${here?.link && html`<a href=${href(here.params)}>${here.link}</a>`}</p>`}
      ${alert.deliveryError && html`<p class="fault">${said.notTold} ${alert.deliveryError}</p>`}
    </li>
  `;
}
