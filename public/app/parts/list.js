/** What stands around a list: how many are shown, more of them, the whole as a file. */

import { download } from "/app/api.js";
import { html, useState } from "/app/markup.js";
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
    ${list.more && html`<p class="more"><button type="button" disabled=${list.busy} onClick=${list.more}>${list.busy ? texts.table.loading : texts.table.more}</button></p>`}
  `;
}

/** "50 rows", or "the first 50 rows" while there are more. */
export function Shown({ list }) {
  if (!list.rows) return null;
  return html`<span class="soft">${(list.more ? texts.table.shownOf : texts.table.shown)(list.rows.length)}</span>`;
}

/** A button that saves all that match as a file. */
export function Download({ path, query, name, accept = "text/csv", label = texts.table.csv, title = texts.table.csvHint }) {
  const [problem, setProblem] = useState(null);
  const save = async () => {
    setProblem(null);
    await download(path, query, name, accept).catch(setProblem);
  };
  return html`
    <button type="button" class="quiet" title=${title} onClick=${save}>${label}</button>
    ${problem && html`<${Failure} what=${texts.table.csvWhat} problem=${problem} again=${save} />`}
  `;
}
