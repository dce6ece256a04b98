/** The inverse of what stands in the ledger, where there is one: of just the services that it changed. */

import { post } from "/app/api.js";
import { html } from "/app/markup.js";
import { Act } from "/app/parts/act.js";
import { appliedBy, verifying } from "/app/screens/customer/acts.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.timeline.undo;

/** @param {{undo: {route: string, method: "POST", body: {services: string[]}, label: string}, label?: string, quiet?: boolean, customer: any, done: () => void}} props */
export function Undo({ undo, label = said.title, quiet = true, customer, done }) {
  const says = html`
    <ul>${undo.body.services.map((id) => html`<li key=${id}>${named(id, customer)}</li>`)}</ul>
    <p class="soft">${said.says}</p>
  `;
  return html`<${Act} label=${label} title=${undo.label} says=${says} what=${said.what} go=${said.title} quiet=${quiet} send=${(_, signal) => post(undo.route, undo.body, { method: undo.method, signal })} applied=${appliedBy} verify=${verifying(customer.customerId)} done=${done} />`;
}

function named(id, { services }) {
  const domain = services.find((one) => one.service === id)?.domain;
  return html`${domain && `${domain} `}<code class=${domain ? "soft" : ""}>${id}</code>`;
}
