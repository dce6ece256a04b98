/** What can be done for a customer; each act shows what the pass did, and what the ledger says of it. */

import { ask, post } from "/app/api.js";
import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Act } from "/app/parts/act.js";
import { forField, toUtc } from "/app/dates.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.acts;
const LOOK = 1500; // ms between two looks into the ledger
const LOOKS = 4;

/** @param {{customer: any, reload: () => void}} props */
export function Acts({ customer, reload }) {
  const { services, customerId } = customer;
  const alive = services.filter((service) => service.state !== "terminated");
  const holds = new Set(services.flatMap((service) => service.holds));
  const lifts = liftable(holds);
  const common = { customerId, reload };
  const unpaid = holds.has("unpaid") || services.some((service) => service.graceUntil || service.graceOverride);
  const behind = services.find((service) => service.graceOverride ?? service.graceUntil);
  const present = behind ? (behind.graceOverride ?? behind.graceUntil) : null;
  const until = { name: "until", label: said.grace.until, type: "datetime-local", value: present ? forField(present) : "" };
  const chosen = ({ until: typed }) => (present && typed === until.value ? present : toUtc(typed)); // left as it was, it is so to the second
  return html`
    <div class="row" role="group" aria-label=${said.title}>
      <${OnServices} ...${common} act="retry" services=${[]} reason=${false} body=${() => ({})} />
      ${alive.length > 0 && html`<${OnServices} ...${common} act="hold" services=${alive} tone="bad" body=${() => ({})} />`}
      ${Object.keys(lifts).length > 0 && html`<${OnServices} ...${common} act="lift" services=${alive} fields=${[{ name: "hold", label: said.lift.which, options: lifts }]} body=${({ hold }) => ({ hold })} />`}
      ${unpaid && html`<${OnServices} ...${common} act="grace" services=${alive} fields=${[until]} body=${(values) => ({ until: chosen(values) })} />`}
      ${customer.queue?.problems.some((problem) => RELEASABLE.includes(problem.reason)) && html`<${OnServices} ...${common} act="release" services=${alive} body=${() => ({})} />`}
      ${customer.panel.orgId && html`<${OnServices} ...${common} act="recreate" services=${alive} body=${() => ({})} /><${Login} ...${common} />`}
      ${services.some((service) => service.endedAt) && html`<${Wipe} ...${common} services=${services.filter((service) => service.endedAt)} />`}
    </div>
  `;
}

/** What of the holds a person's word can take away. */
const liftable = (holds) => Object.fromEntries(Object.entries(said.lift.holds).filter(([hold]) => holds.has(hold)));

/** An act of /api/admin/work on one service or on all. */
function OnServices({ act, customerId, services, fields = [], reason = true, body, reload, tone }) {
  const which = { name: "which", label: said.which, options: { "": said.all, ...Object.fromEntries(services.map((service) => [service.subscriptionId, service.domain ? `${service.domain} (${service.subscriptionId})` : service.subscriptionId])) } };
  const all = [...(services.length > 1 ? [which] : []), ...fields, ...(reason ? [{ name: "reason", label: texts.act.reason }] : [])];
  const send = (values, signal) => post("/api/admin/work", { action: act, ...whom(customerId, values.which), ...body(values), ...(values.reason && { reason: values.reason }) }, { signal });
  return html`<${Act} ...${said[act]} tone=${tone} fields=${all} send=${send} applied=${appliedBy} verify=${verifying(customerId)} done=${reload} />`;
}

const whom = (customerId, which) => (which ? { subscriptionId: which } : { customerId });

function Wipe({ customerId, services, reload }) {
  const id = services.length > 1 ? customerId : services[0].subscriptionId;
  const send = ({ confirm, reason }, signal) =>
    post("/api/admin/work", { action: "hardDelete", ...(id === customerId ? { customerId } : { subscriptionId: id }), confirm, ...(reason && { reason }) }, { signal });
  const fields = [{ name: "confirm", label: "", match: id, required: true }, { name: "reason", label: texts.act.reason }];
  return html`<${Act} ...${said.wipe} tone="bad" fields=${fields} send=${send} applied=${appliedBy} verify=${verifying(customerId)} done=${reload} />`;
}

/** The link stands in the dialog alone, and goes with it. */
function Login({ customerId, reload }) {
  const applied = ({ url }) => ({
    state: "done",
    lines: [html`<a class="button" href=${url} target="_blank" rel="noopener noreferrer">${said.login.open}</a>`, html`<span class="soft">${said.login.once}</span>`],
  });
  return html`<${Act} ...${said.login} send=${(_, signal) => post("/api/admin/customers", { action: "login", customerId }, { signal })} applied=${applied} done=${reload} />`;
}

/** What a pass answered, as a step. */
export function appliedBy(answer) {
  const { outcome, actions } = answer;
  const did = actions.map((action) => `${texts.kinds[action.kind] ?? words(action.kind)} (${words(action.rule)})`);
  if (outcome.state === "settled") return { state: "done", lines: [...(did.length ? did : [texts.act.nothing]), texts.act.outcome.settled] };
  if (outcome.state === "again") return { state: "waiting", lines: [...did, texts.act.outcome.again(outcome.error)] };
  return { state: "waiting", lines: [...did, ...outcome.problems.flatMap((problem) => [texts.act.outcome.parked(problem.detail), problem.remedy])] };
}

/** How an action can end, by the last that the ledger knows of it. */
const ENDS = { verified: "done", noted: "done", failed: "failed", unknown: "waiting" };

/**
 * What reads back what was applied: "pass" - the same pass, so that what is only applied waits for its proof; "sweep" -
 * the next one, which looks at the panel as a whole; "word" - nothing can, and the panel's answer is all there is.
 */
export const READ_BACK = {
  create_org: "sweep", create_login: "sweep", add_owner: "sweep", rename_org: "sweep", create_website: "sweep",
  create_subscription: "pass", change_plan: "pass", mark: "pass", suspend: "pass", resume: "pass", terminate: "pass", move_website: "pass",
  send_welcome: "word", hard_delete: "word",
};
const APPLIED = { pass: "waiting", sweep: "later", word: "later" };
const UNPROVEN = { pass: texts.act.unproven, sweep: texts.act.bySweep, word: texts.act.byWord };

/** How one entry of the ledger stands; null while it is under way. @returns {{state: string, line: string}|null} */
export function standing({ kind, state, steps = [] }) {
  const read = READ_BACK[kind] ?? "pass";
  const ends = state === "applied" ? APPLIED[read] : ENDS[state];
  if (!ends) return null;
  const what = state === "applied" ? UNPROVEN[read] : (texts.customers.one.timeline.steps[state] ?? state);
  const error = steps.at(-1)?.error;
  return { state: ends, line: `${texts.kinds[kind] ?? words(kind)}: ${what}${error ? `, ${error}` : ""}` };
}

/** What somebody may wait for that a person's word lets pass. */
export const RELEASABLE = ["double_purchase", "never_paid", "quantity_unusual", "mapping_changed"];

/** Read in the ledger what became of a pass, until every action of it has come to an end. */
export const verifying = (customerId) => async (answer, signal) => {
  for (let look = 0; ; look += 1) {
    const { timeline } = await ask("/api/admin/customers", { query: { id: customerId, limit: 50 }, signal });
    const mine = entriesOf(timeline.data, answer).map(standing);
    const open = mine.filter((one) => one === null || one.state === "waiting");
    if (!open.length || (look === LOOKS && !mine.includes(null))) return ended(mine, answer.outcome);
    if (look === LOOKS) return { state: "waiting", lines: [texts.act.notYet] };
    await new Promise((go) => setTimeout(go, LOOK));
    if (signal.aborted) return { state: "waiting", lines: [] };
  }
};

/** What an act wrote down, oldest first: its own line, what its pass did, and what was done by hand before the pass. */
function entriesOf(timeline, answer) {
  const actions = timeline.filter((entry) => entry.source === "action");
  const note = actions.find((entry) => entry.state === "noted" && (answer.action === "undo" ? entry.facts.undoes : entry.kind === answer.action));
  const byHand = answer.actions.map((did) => actions.find((entry) => entry.kind === did.kind && entry.service === did.service && !entry.passId));
  const byPass = actions.filter((entry) => entry.passId && entry.passId === answer.passId);
  return [...new Set([note, ...byHand, ...byPass.reverse()].filter(Boolean))];
}

function ended(found, outcome) {
  if (!found.length) return outcome.state === "settled" ? { state: "done", lines: [texts.act.nothing] } : { state: "waiting", lines: [texts.act.noneYet] };
  const state = ["failed", "waiting", "later"].find((one) => found.some((entry) => entry.state === one)) ?? "done";
  return { state, lines: found.map((entry) => entry.line) };
}
