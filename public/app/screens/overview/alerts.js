/** What is open and was told, and a receiver that refused to hear it. */

import { html } from "/app/markup.js";
import { Time } from "/app/parts/time.js";
import { texts } from "/app/texts.js";

const said = texts.overview;

/** @param {{alerts?: {cause: string, title: string, detail: string, remedy: string, openedAt: string, lastToldAt: string|null, deliveryError: string|null}[]}} props */
export function Alerts({ alerts = [] }) {
  if (!alerts.length) return null;
  return html`
    <section class="stack tight" aria-label=${said.alerts}>
      ${alerts.map(
        (alert) => html`
          <div key=${alert.cause} class="notice warn">
            <p><strong>${alert.title}</strong> ${alert.detail}</p>
            <p>${alert.remedy}</p>
            <p class="soft">${said.opened} <${Time} at=${alert.openedAt} />${alert.lastToldAt && html` · ${said.told} <${Time} at=${alert.lastToldAt} />`}</p>
            ${alert.deliveryError && html`<p class="fault">${said.notTold} ${alert.deliveryError}</p>`}
          </div>
        `,
      )}
    </section>
  `;
}
