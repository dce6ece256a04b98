/** Why nothing runs for an order that was paid, and what paid it. */

import { html } from "/app/markup.js";
import { Id } from "/app/parts/id.js";
import { Badge, Remedy } from "/app/parts/words.js";
import { orders as say } from "/app/texts/orders.js";

const WAITS = ["due", "working"]; // what needs nobody

/** The invoice, or else the payment, with a link to it at Stripe; offline the reference. */
export function Invoice({ order, links }) {
  const { invoiceId, paymentIntentId } = order.notLive ?? {};
  const at = links && order.provider === "stripe" ? links.stripe : null;
  if (invoiceId) return html`<${Id} value=${invoiceId} what=${say.ids.invoice} url=${at && `${at}/invoices/${invoiceId}`} at=${say.ids.atStripe} />`;
  if (paymentIntentId) return html`<${Id} value=${paymentIntentId} what=${say.ids.payment} url=${at && `${at}/payments/${paymentIntentId}`} at=${say.ids.atStripe} />`;
  return html`<span class="soft">${order.reference ?? say.ids.none}</span>`;
}

/** The heading of those that have the same cause: why, and what to do. */
export function WhyAll({ notLive }) {
  return notLive && html`<${Word} reason=${notLive.reason} /> <span class="soft">${notLive.remedy} <${Remedy} reason=${notLive.reason} /></span>`;
}

/** @param {{found: {reason: string, detail: string, remedy: string}}} props */
export function Why({ found }) {
  return html`
    <${Word} reason=${found.reason} /> ${found.detail}
    <div class="soft">${found.remedy} <${Remedy} reason=${found.reason} /></div>
  `;
}

const Word = ({ reason }) => html`<${Badge} word=${reason} tone=${WAITS.includes(reason) ? "info" : "bad"} />`;
