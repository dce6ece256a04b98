/** What stands around a list: how many are shown, more of them, the whole as a file. */

import { download } from "/app/api.js";
import { html, useRef, useState } from "/app/markup.js";
import { Empty, Failure, Loading } from "/app/parts/notice.js";
import { texts } from "/app/texts.js";

/**
 * A list that was read with `useList`: its failure, its emptiness, or its rows and the way to more of them.
 *
 * @param {{list: ReturnType<import("/app/parts/data.js").useList>, what: string, empty: object, children: any}} props
 *   `what`: what is being read; `empty`: the props of `Empty`
 */
export function List({ list, what, empty, children }) {
  if (list.problem && !list.rows) return html`<${Failure} what=${what} problem=${list.problem} again=${list.reload} />`;
  if (list.loading) return html`<${Loading} />`;
  return html`
    ${list.problem && html`<${Failure} what=${what} problem=${list.problem} again=${list.reload} />`}
    ${list.rows.length === 0 ? html`<${Empty} ...${empty} />` : children}
    <${More} what=${what} more=${list.more} busy=${list.busy} lack=${list.lack} />
  `;
}

/**
 * The way to what follows, and why it did not come. The button keeps the focus while it waits, as one that is disabled
 * would not: by keyboard it is pressed again and again.
 *
 * @param {{what: string, more: (() => void)|null, busy: boolean, lack: any}} props `more`: null where nothing follows
 */
export function More({ what, more, busy, lack }) {
  if (!more) return null;
  return html`
    ${lack && html`<${Failure} what=${what} problem=${lack} />`}
    <p class="more"><button type="button" aria-disabled=${busy ? "true" : undefined} onClick=${more}>${busy ? texts.table.loading : lack ? texts.problems.again : texts.table.more}</button></p>
  `;
}

/** "50 rows", or "the first 50 rows" while there are more; read aloud when it changes, as by a filter. */
export function Shown({ list }) {
  return html`<span class="soft" role="status">${list.rows && (list.more ? texts.table.shownOf : texts.table.shown)(list.rows.length)}</span>`;
}

/** A button that saves all that match as a file. */
export function Download({ path, query, name, accept = "text/csv", label = texts.table.csv, title = texts.table.csvHint }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const under = useRef(false);
  const save = async () => {
    if (under.current) return; // asked for already
    under.current = true;
    setProblem(null);
    setBusy(true);
    await download(path, query, name, accept).catch(setProblem);
    under.current = false;
    setBusy(false);
  };
  return html`
    <button type="button" class="quiet" title=${title} aria-disabled=${busy ? "true" : undefined} onClick=${save}>${label}</button>
    ${problem && html`<${Failure} what=${texts.table.csvWhat} problem=${problem} again=${save} />`}
  `;
}
