/** What is done to all that match: shown first, done exactly so. */

import { html } from "/app/markup.js";
import { Bulk } from "/app/parts/bulk.js";
import { texts } from "/app/texts.js";
import { toUtc } from "/app/dates.js";
import { RELEASABLE } from "/app/screens/customer/acts.js";

const said = texts.work.acts;
const ROUTE = "/api/admin/work";
const REASON = { name: "reason", label: texts.act.reason };

/** @param {{state: string, reason?: string, none?: boolean, done: () => void}} props which part of the queue */
export function ForAll({ state, reason, none, done }) {
  const filter = { state, ...(reason && { reason }) };
  if (state === "upcoming") return html`<${Amnesty} done=${done} />`;
  return html`
    <${ToAll} act="retry" filter=${filter} none=${none} done=${done} />
    ${RELEASABLE.includes(reason) && html`<${ToAll} act="release" filter=${filter} none=${none} done=${done} />`}
    ${state === "parked" && html`<${Amnesty} done=${done} />`}
  `;
}

const UNPAID = { hold: "unpaid", upcoming: true };

/** Grace until a date for everybody who is held, or about to be held, for what is unpaid; and taking it back. */
export function Amnesty({ done }) {
  const { until, ...words } = said.amnesty;
  const reason = { ...REASON, required: true };
  const fields = [{ name: "until", label: until, type: "datetime-local", required: true }, reason];
  const body = (values) => ({ action: "grace", filter: UNPAID, until: toUtc(values.until), reason: values.reason });
  const back = (values) => ({ action: "grace", filter: UNPAID, until: null, reason: values.reason });
  return html`
    <${Bulk} ...${words} route=${ROUTE} fields=${fields} body=${body} done=${done} />
    <${Bulk} ...${said.amnestyBack} tone="bad" route=${ROUTE} fields=${[reason]} body=${back} done=${done} />
  `;
}

/** Let go for everybody what a person may let go: a hold by hand, or the present disputes or refunds. */
export function LiftAll({ hold, done }) {
  const { says, ...words } = said.lift;
  const body = ({ reason }) => ({ action: "lift", hold, filter: { hold }, reason });
  return html`<${Bulk} ...${words} says=${says[hold]} route=${ROUTE} fields=${[{ ...REASON, required: true }]} body=${body} done=${done} />`;
}

/** The holds that `LiftAll` takes. */
export const LIFTED = Object.keys(said.lift.says);

function ToAll({ act, filter, none, done }) {
  const fields = act === "retry" ? [] : [{ ...REASON, required: true }];
  const body = (values) => ({ action: act, filter, ...(values.reason && { reason: values.reason }) });
  return html`<${Bulk} ...${said[act]} route=${ROUTE} fields=${fields} body=${body} disabled=${none} done=${done} />`;
}
