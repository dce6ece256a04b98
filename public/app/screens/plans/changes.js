/** The newest changes of mappings, from the ledger; each can be reverted, shown before like any other change. */

import { html } from "/app/markup.js";
import { Empty } from "/app/parts/notice.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { inWords } from "/app/screens/plans/price.js";
import { plans as say } from "/app/texts/plans.js";

const said = say.changes;

/** @param {{changes: object[], revert: (change: object) => void}} props */
export function Changes({ changes, revert }) {
  if (changes.length === 0) return html`<${Empty} says=${said.none} />`;
  const columns = [
    { key: "at", label: said.at, cell: (one) => html`<${Time} at=${one.at} />` },
    { key: "actor", label: said.actor, cell: (one) => one.actor ?? said.bySql },
    { key: "price", label: said.price, main: true, cell: (one) => html`<code>${one.billingPlanId}</code>` },
    { key: "before", label: said.before, cell: (one) => inWords(one.before) },
    { key: "after", label: said.after, cell: (one) => inWords(one.after) },
    {
      key: "act", label: said.act,
      cell: (one) => one.undo && html`<button type="button" aria-label=${said.revertOf(one.billingPlanId)} onClick=${() => revert(one)}>${said.revert}</button>`,
    },
  ];
  return html`<${Table} caption=${said.caption} quiet columns=${columns} rows=${changes} id=${(one) => `${one.at} ${one.billingPlanId}`} sortable=${false} />`;
}
