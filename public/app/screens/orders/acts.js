/** What is done to one order by hand: each asks first, is sent once however often it is pressed, and is read back. */

import { ask, post } from "/app/api.js";
import { minorUnits } from "/app/format.js";
import { html } from "/app/markup.js";
import { Act } from "/app/parts/act.js";
import { amountField, restOf, shown, typed } from "/app/screens/orders/amounts.js";
import { orders as say } from "/app/texts/orders.js";

const PATH = "/api/admin/orders";
const LOOKS = 10; // for a refund that is on its way
const PAUSE = 1000; // ms between two looks
const OVER = ["succeeded", "failed", "canceled"];

const wait = (signal) => new Promise((done, stop) => {
  const timer = setTimeout(done, PAUSE);
  signal.addEventListener("abort", () => { clearTimeout(timer); stop(signal.reason); }, { once: true });
});
const read = (id, signal) => ask(PATH, { query: { id }, signal });

const unanswered = new Map(); // the key of each body that no good answer came for, whatever was closed or left meanwhile

/**
 * Send a body under a key of its own until it is answered: a repetition after a lost answer does nothing more. What was
 * refused is over, and asked for again it is another one: under the same key it would be the refused one, for ever.
 */
export async function once(body, signal) {
  const text = JSON.stringify(body);
  const idempotencyKey = unanswered.get(text) ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-"); // randomUUID is not there without TLS
  unanswered.set(text, idempotencyKey);
  try {
    const answer = await post(PATH, body, { signal, idempotencyKey });
    unanswered.delete(text);
    return answer;
  } catch (problem) {
    if (problem.code === "refund_refused") unanswered.delete(text);
    throw problem;
  }
}

const repeated = (answer) => (answer.repeated ? [say.acts.repeated] : []);

/** The order as it is read anew, after an act that is done at once. */
const readBack = (id) => async (answer, signal) => {
  const order = await read(id, signal);
  return { state: "done", lines: [say.acts.readBack(say.states[order.state] ?? order.state)] };
};

/** Everything that can be done to this order now. @param {{order: object, reload: () => void}} props `order`: the API's OrderDetails */
export function Acts({ order, reload }) {
  const offline = order.provider !== "stripe";
  const open = ["pending", "paying"].includes(order.state);
  const rest = offline ? (order.state === "paid" ? (order.amount ?? 0) - order.refunded : 0) : order.payments.reduce((sum, one) => sum + restOf(one, order.refunds), 0);
  return html`
    <span class="row">
      ${offline && order.missing > 0 && !["refunded"].includes(order.state) && html`<${Collect} order=${order} reload=${reload} />`}
      ${offline && order.overpaid > 0 && html`<${Return} order=${order} reload=${reload} />`}
      ${rest > 0 && html`<${Refund} order=${order} rest=${rest} offline=${offline} reload=${reload} />`}
      ${offline && html`<${Correct} order=${order} reload=${reload} />`}
      ${offline && !order.cancelled && (open || order.state === "paid") && html`<${Cancel} order=${order} reload=${reload} />`}
    </span>
  `;
}

function Collect({ order, reload }) {
  return html`
    <${Act} label=${say.acts.collect} what=${say.acts.collectWhat} says=${say.acts.collectSays(shown(order.missing, order))}
      fields=${[amountField(order, null), { name: "externalId", label: say.fields.externalId, hint: say.fields.externalHint }]}
      go=${(values) => say.acts.collectGo(typed(values, order))}
      send=${(values, signal) => once({ action: "collect", orderId: order.id, currency: order.currency, amount: minorUnits(values.amount, order.exponent), ...(values.externalId ? { externalId: values.externalId } : {}) }, signal)}
      applied=${(answer) => ({ state: "done", lines: [say.acts.collected(say.states[answer.order.state], answer.order.missing ? shown(answer.order.missing, answer.order) : ""), ...repeated(answer)] })}
      verify=${readBack(order.id)} done=${reload} />
  `;
}

function Return({ order, reload }) {
  return html`
    <${Act} label=${say.acts.returned} what=${say.acts.returnWhat} says=${say.acts.returnSays(shown(order.overpaid, order))}
      fields=${[amountField(order, order.overpaid)]} go=${(values) => say.acts.returnGo(typed(values, order))}
      send=${(values, signal) => once({ action: "return", orderId: order.id, amount: minorUnits(values.amount, order.exponent) }, signal)}
      applied=${(answer) => ({ state: "done", lines: [say.acts.returnDone, ...repeated(answer)] })}
      verify=${readBack(order.id)} done=${reload} />
  `;
}

function Cancel({ order, reload }) {
  return html`
    <${Act} label=${say.acts.cancel} tone="bad" what=${say.acts.cancelWhat} says=${say.acts.cancelSays}
      send=${(_, signal) => once({ action: "cancel", orderId: order.id }, signal)}
      applied=${(answer) => ({ state: "done", lines: [say.acts.cancelled(say.states[answer.order.state]), ...repeated(answer)] })}
      verify=${readBack(order.id)} done=${reload} />
  `;
}

function Correct({ order, reload }) {
  const names = ["email", "name", "domain"];
  const changed = (values) => Object.fromEntries(names.filter((name) => values[name] && values[name] !== (order[name] ?? "")).map((name) => [name, values[name]]));
  return html`
    <${Act} label=${say.acts.change} title=${say.acts.changeTitle} quiet what=${say.acts.changeWhat} says=${say.acts.changeSays} go=${say.acts.changeGo}
      fields=${names.map((name) => ({ name, label: say.fields[name], value: order[name] ?? "" }))}
      send=${(values, signal) => once({ action: "change", orderId: order.id, ...changed(values) }, signal)}
      applied=${(answer) => ({ state: "done", lines: [say.acts.changed, ...repeated(answer)] })}
      verify=${readBack(order.id)} done=${reload} />
  `;
}

function Refund({ order, rest, offline, reload }) {
  const payments = offline ? [] : order.payments.filter((one) => restOf(one, order.refunds) > 0);
  const of = payments[0] ?? order;
  const most = (values) => (offline ? rest : restOf(payments.find((one) => one.id === values.payment) ?? of, order.refunds));
  const largest = offline ? rest : Math.max(...payments.map((one) => restOf(one, order.refunds)));
  const choice = payments.length > 1 && {
    name: "payment", label: say.fields.payment,
    options: Object.fromEntries(payments.map((one) => [one.id, `${say.payments.attempt(one.attempt)}: ${say.fields.amountMax(shown(restOf(one, order.refunds), one))}`])),
  };
  return html`
    <${Act} label=${say.acts.refund} title=${say.acts.refundTitle(order.email ?? order.id)} tone="bad" what=${say.acts.refundWhat}
      says=${(values) => `${say.acts.refundSays(shown(most(values), of))} ${offline ? say.acts.refundOffline : say.acts.refundStripe}`}
      fields=${[choice, amountField(of, largest), { name: "reason", label: say.fields.reason }].filter(Boolean)}
      go=${(values) => say.acts.refundGo(typed(values, of))}
      send=${(values, signal) => once({ action: "refund", orderId: order.id, amount: minorUnits(values.amount, of.exponent), ...(values.reason ? { reason: values.reason } : {}), ...(offline ? {} : { paymentId: values.payment ?? of.id }) }, signal)}
      applied=${(answer) => told(answer)}
      verify=${offline ? readBack(order.id) : (answer, signal) => settled(order.id, answer, signal)} done=${reload} />
  `;
}

/** What Stripe said at once of a refund; offline there is nobody to say anything. */
function told(answer) {
  const refund = answer.refund;
  if (!refund) return { state: "done", lines: [say.acts.returnDone, ...repeated(answer)] };
  const state = refund.status === "succeeded" ? "done" : ["failed", "canceled"].includes(refund.status) ? "failed" : "waiting";
  return { state, lines: [say.acts.refundAsked(refund.refundId, refund.status), ...repeated(answer)] };
}

/** Look at the order until its refund has come to an end, or for as long as somebody waits for it. */
async function settled(id, answer, signal) {
  let found;
  for (let look = 0; look < LOOKS; look += 1) {
    const order = await read(id, signal);
    found = order.refunds.find((one) => one.id === answer.refund?.refundId);
    if (found && OVER.includes(found.status)) return { state: found.status === "succeeded" ? "done" : "failed", lines: [say.acts.refundSeen(found.id, found.status), found.failure].filter(Boolean) };
    await wait(signal);
  }
  return { state: "waiting", lines: [found ? say.acts.refundSeen(found.id, found.status) : say.acts.refundUnseen] };
}
