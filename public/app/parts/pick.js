/** The link of a row that shows what stands beside the list. */

import { html } from "/app/markup.js";
import { href } from "/app/router.js";

/** @param {{id: string, params: object, label?: string, children: any}} props `label`: for screen readers, where the words alone don't say of what */
export function Pick({ id, params, label, children }) {
  return html`<a href=${href({ ...params, sel: id })} aria-label=${label} aria-current=${params.sel === id ? "true" : undefined}>${children}</a>`;
}
