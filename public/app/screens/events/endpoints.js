/** Where outgoing events go, how each stands, and testing or enabling it. */

import { post } from "/app/api.js";
import { html, useState } from "/app/markup.js";
import { announce } from "/app/parts/live.js";
import { Failure } from "/app/parts/notice.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge } from "/app/parts/words.js";
import { events as say } from "/app/texts/events.js";

const PATH = "/api/admin/events";
const said = say.endpoints;

/** @param {{endpoints: object[], reload: () => void}} props */
export function Endpoints({ endpoints, reload }) {
  const [result, setResult] = useState(null);
  if (endpoints.length === 0) return null;
  const act = async (action, one) => {
    if (result?.busy) return; // asked for already
    setResult({ busy: true });
    try {
      const answer = await post(PATH, { action, endpoint: one.id });
      const text = action === "test" ? said.tested(answer) : said.enabled;
      announce(text);
      setResult({ text, bad: action === "test" && !answer.delivered });
      reload();
    } catch (problem) {
      setResult({ problem, what: action === "test" ? said.testFailed : said.enableFailed });
    }
  };
  return html`
    <${Table} caption=${said.caption} columns=${columns(act, result?.busy)} rows=${endpoints} id=${(one) => one.id} sortable=${false} />
    ${result?.busy && html`<p role="status">${said.testing}</p>`}
    ${result?.text && html`<p class=${`notice ${result.bad ? "bad" : "good"}`}>${result.text} ${result.bad ? said.testRemedy : ""}</p>`}
    ${result?.problem && html`<${Failure} what=${result.what} problem=${result.problem} />`}
  `;
}

const columns = (act, busy) => [
  { key: "url", label: said.url, main: true, wide: true, cell: (one) => one.url },
  { key: "state", label: said.state, cell: (one) => html`<${Badge} word=${one.state} label=${said.states[one.state]} title=${one.disabledReason} />` },
  { key: "types", label: said.types, cell: (one) => html`<${Types} types=${one.types} />` },
  { key: "waiting", label: said.waiting, number: true, cell: (one) => one.waiting },
  { key: "since", label: said.since, cell: (one) => html`<${Time} at=${one.oldestWaitingAt} />` },
  { key: "error", label: said.error, wide: true, cell: (one) => [one.disabledReason ?? one.error, one.failures ? said.failures(one.failures) : null].filter(Boolean).join(", ") },
  { key: "next", label: said.next, cell: (one) => html`<${Time} at=${one.nextTryAt} />` },
  {
    key: "act", label: said.act,
    cell: (one) => one.state !== "removed" && html`
      <span class="row">
        <button type="button" aria-disabled=${busy ? "true" : undefined} aria-label=${said.testOf(one.url)} onClick=${() => act("test", one)}>${said.test}</button>
        ${["failing", "disabled"].includes(one.state) && html`<button type="button" aria-disabled=${busy ? "true" : undefined} aria-label=${said.enableOf(one.url)} onClick=${() => act("enable", one)}>${said.enable}</button>`}
      </span>`,
  },
];

function Types({ types }) {
  return html`<details><summary>${said.kinds(types.length)}</summary>${types.map((type) => html`<div key=${type}>${type}</div>`)}</details>`;
}
