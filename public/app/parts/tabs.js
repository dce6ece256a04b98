/** Tabs that are places of their own: each has an address. */

import { count } from "/app/format.js";
import { html } from "/app/markup.js";
import { href } from "/app/router.js";

/** @param {{label: string, tabs: {key: string, label: string, count?: number, params: object}[], current: string}} props */
export function Tabs({ label, tabs, current }) {
  return html`
    <div class="tabs" role="navigation" aria-label=${label}>
      ${tabs.map(
        (tab) => html`
          <a key=${tab.key} href=${href(tab.params)} aria-current=${tab.key === current ? "page" : undefined}>${tab.label}${tab.count !== undefined && html` <b>${count(tab.count)}</b>`}</a>
        `,
      )}
    </div>
  `;
}
