/** How a price and a mapping are shown. */

import { money } from "/app/format.js";
import { html } from "/app/markup.js";
import { plans as say } from "/app/texts/plans.js";

/** What a price costs: "19.00 EUR each month". */
export function costs(price) {
  if (!price) return "";
  if (price.amount === null) return say.noAmount;
  const often = price.interval ? say.every(price.intervalCount ?? 1, price.interval) : say.once;
  return `${money(price.amount, price.currency, price.exponent)} ${often}`;
}

/** A price by its name, with the id beneath it. */
export function Price({ id, price, provider = "stripe", asked = true }) {
  const foreign = provider === "stripe" ? null : say.offline[provider];
  return html`
    ${price?.name && html`<span>${price.name}</span> `}<code>${id}</code>
    ${foreign ? html` <span class="soft">${foreign}</span>` : null}
    ${price && !price.active ? html` <span class="badge warn">${say.inactive}</span>` : null}
    ${!price && !foreign && asked ? html` <span class="badge warn">${say.unknownPrice}</span>` : null}
  `;
}

/** The panel plan of a mapping, or why there is none. */
export function Plan({ row, asked = true }) {
  if (row.kind !== "service") return say.kinds[row.kind];
  if (row.plan) return html`<span>${row.plan.name}</span> <code>${row.plan.id}</code>`;
  return html`<code>${row.enhancePlanId}</code> ${asked ? html`<span class="badge warn">${say.unknownPlan(row.enhancePlanId)}</span>` : null}`;
}

/** A mapping in one line, as the ledger keeps it; `null` is none. */
export function inWords(mapping) {
  if (!mapping) return say.changes.nothing;
  const kind = mapping.kind ?? "service";
  const terms = { ...mapping, graceDays: mapping.graceDays ?? null, createWebsite: mapping.createWebsite ?? true };
  const what = kind === "service" ? mapping.enhancePlanId : say.kinds[kind];
  return kind === "service" ? `${what} (${say.terms(terms)})` : what;
}
