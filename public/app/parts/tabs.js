/** Tabs that are places of their own: each has an address. */

import { count } from "/app/format.js";
import { html, useLayoutEffect, useRef } from "/app/markup.js";
import { href } from "/app/router.js";

/** @param {{label: string, tabs: {key: string, label: string, count?: number, params: object}[], current: string}} props */
export function Tabs({ label, tabs, current }) {
  const row = useRef(null);
  const counted = tabs.some((tab) => tab.count !== undefined);
  useLayoutEffect(() => {
    // On a phone not all of them have room: the one that is shown is not to be out of sight.
    const shown = row.current.querySelector("[aria-current]");
    if (!shown) return;
    const [{ left }, outer] = [shown.getBoundingClientRect(), row.current.getBoundingClientRect()];
    row.current.scrollLeft += left - outer.left - (row.current.clientWidth - shown.offsetWidth) / 2;
  }, [current, counted]);
  return html`
    <div class="tabs" role="navigation" aria-label=${label} ref=${row}>
      ${tabs.map(
        (tab) => html`
          <a key=${tab.key} href=${href(tab.params)} aria-current=${tab.key === current ? "page" : undefined}>${tab.label}${tab.count !== undefined && html` <b>${count(tab.count)}</b>`}</a>
        `,
      )}
    </div>
  `;
}
