/** The link of a row that shows what stands beside the list. */

import { html } from "/app/markup.js";
import { href } from "/app/router.js";

export function Pick({ id, params, children }) {
  return html`<a href=${href({ ...params, sel: id })} aria-current=${params.sel === id ? "true" : undefined}>${children}</a>`;
}
