/** What was chosen from a list: beside it where there is room, below it on a phone, which then goes there. */

import { html, useLayoutEffect, useRef } from "/app/markup.js";
import { Id } from "/app/parts/id.js";
import { Json } from "/app/parts/json.js";
import { Failure, Loading } from "/app/parts/notice.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const NARROW = matchMedia("(max-width: 1100px)"); // as in screens.css

/**
 * @param {{title: string, id: string, what: string, params: object, open?: object, children: any}} props
 *   `title`: what it is, "Order"; `what`: the same within a sentence; `open`: the address of its own page, if it has one
 */
export function Beside({ title, id, what, params, open, children }) {
  const here = useRef(null);
  useLayoutEffect(() => {
    if (!NARROW.matches) return;
    here.current.focus({ preventScroll: true });
    here.current.scrollIntoView();
  }, []);
  return html`
    <aside class="beside" tabindex="-1" ref=${here} aria-label=${`${title} ${id}`}>
      <header>
        <h2>${title} <${Id} value=${id} what=${what} /></h2>
        ${open && html`<a href=${href(open)}>${texts.beside.open}</a>`}
        <a class="soft" href=${href({ ...params, sel: undefined })}>${texts.beside.close}</a>
      </header>
      ${children}
    </aside>
  `;
}

/**
 * The same with nothing but the JSON, as the API sent it.
 *
 * @param {{of: {data: unknown, problem?: any, loading?: boolean, reload?: () => void}, reading?: string}} props
 *   `of`: what `useData` gave, or `{data}` where it is there already; the others as of `Beside`
 */
export function JsonBeside({ of, reading, ...props }) {
  return html`
    <${Beside} ...${props}>
      ${of.problem && html`<${Failure} what=${reading} problem=${of.problem} again=${of.reload} />`}
      ${of.loading && html`<${Loading} />`}
      ${of.data && html`<${Json} value=${of.data} open />`}
    </${Beside}>
  `;
}
