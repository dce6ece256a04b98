/** The inverse of what stands in the ledger, where there is one. */

import { post } from "/app/api.js";
import { html } from "/app/markup.js";
import { Act } from "/app/parts/act.js";
import { appliedBy, verifying } from "/app/screens/customer/acts.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.timeline.undo;

/** @param {{undo: {route: string, method: "POST"|"PUT", body: object, label: string}, customerId: string, done: () => void}} props */
export function Undo({ undo, customerId, done }) {
  const verify = undo.route === "/api/admin/work" ? verifying(customerId) : undefined;
  const says = html`<p>${undo.label}</p><p class="soft">${said.says}</p>`;
  return html`<${Act} label=${said.title} title=${said.title} says=${says} what=${said.what} go=${said.title} quiet send=${(_, signal) => post(undo.route, undo.body, { method: undo.method, signal })} applied=${appliedBy} verify=${verify} done=${done} />`;
}
