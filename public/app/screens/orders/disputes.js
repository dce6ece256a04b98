/** Disputes with their due date, and the text that answers them. */

import { text } from "/app/api.js";
import { html, useEffect, useState } from "/app/markup.js";
import { shown } from "/app/screens/orders/amounts.js";
import { Dialog } from "/app/parts/dialog.js";
import { copy } from "/app/parts/id.js";
import { Failure, Loading } from "/app/parts/notice.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge } from "/app/parts/words.js";
import { texts } from "/app/texts.js";
import { orders as say } from "/app/texts/orders.js";

const said = say.disputes;
const TONES = { won: "good", lost: "bad", needs_response: "bad", warning_needs_response: "warn" };

/** @param {{disputes: object[]}} props */
export function Disputes({ disputes }) {
  const [pack, open] = useState(null);
  if (disputes.length === 0) return null;
  const columns = [
    { key: "id", label: said.id, main: true, cell: (one) => html`<code>${one.id}</code>` },
    { key: "state", label: said.state, cell: (one) => html`<${Badge} word=${one.status} tone=${TONES[one.status] ?? "warn"} />` },
    { key: "amount", label: said.amount, number: true, cell: (one) => shown(one.amount, one) },
    { key: "due", label: said.due, cell: (one) => (one.closedAt ? html`${said.closed} <${Time} at=${one.closedAt} />` : html`<${Time} at=${one.dueBy} />`) },
    { key: "at", label: said.at, cell: (one) => html`<${Time} at=${one.createdAt} />` },
    { key: "reason", label: said.reason, cell: (one) => one.reason },
    { key: "act", label: said.act, cell: (one) => html`<button type="button" aria-label=${said.packOf(one.id)} onClick=${() => open(one)}>${said.pack}</button>` },
  ];
  return html`
    <section class="card"><${Table} caption=${said.caption} columns=${columns} rows=${disputes} id=${(one) => one.id} sortable=${false} /></section>
    ${pack && html`<${Pack} dispute=${pack} close=${() => open(null)} />`}
  `;
}

function Pack({ dispute, close }) {
  const [found, setFound] = useState({});
  const read = (signal) => {
    setFound({});
    return text("/api/admin/orders", { dispute: dispute.id, format: "text" }, signal).then(
      (pack) => setFound({ pack }),
      (problem) => signal?.aborted || setFound({ problem }),
    );
  };
  useEffect(() => {
    const life = new AbortController();
    read(life.signal);
    return () => life.abort();
  }, []);
  return html`
    <${Dialog} title=${said.packTitle(dispute.id)} onClose=${close} wide>
      <p>${said.packSays} ${dispute.dueBy && html`<strong>${said.packDue} <${Time} at=${dispute.dueBy} /></strong>`}</p>
      ${found.problem && html`<${Failure} what=${said.reading} problem=${found.problem} again=${() => read()} />`}
      ${!found.pack && !found.problem && html`<${Loading} />`}
      ${found.pack && html`<pre class="pack" tabindex="0">${found.pack}</pre>`}
      <footer>
        <button type="button" class="quiet" onClick=${close}>${texts.dialog.close}</button>
        ${found.pack && html`<button type="button" class="main" onClick=${() => copy(found.pack)}>${said.copy}</button>`}
      </footer>
    <//>
  `;
}
