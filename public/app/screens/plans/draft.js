/** A mapping as it could be: drafted, then shown with all that it does, then applied exactly as it was shown. */

import { ask } from "/app/api.js";
import { html, useLayoutEffect, useRef, useState } from "/app/markup.js";
import { Dialog } from "/app/parts/dialog.js";
import { Failure } from "/app/parts/notice.js";
import { announce, Heard } from "/app/parts/live.js";
import { Effect, summaryOf } from "/app/screens/plans/effect.js";
import { plans as say } from "/app/texts/plans.js";

const PATH = "/api/admin/plans";
const FORM = "draft"; // its buttons stand below what it would do
const EMPTY = {
  billingProvider: "stripe", billingPlanId: "", enhancePlanId: "", kind: "service", activateOn: "paid", graceDays: "",
  createWebsite: true, serverGroupId: "",
};

/** What the form begins with: the mapping as it is, one for a price, or nothing. */
export function drafted(row) {
  return { ...EMPTY, ...pick(row), enhancePlanId: row.enhancePlanId ?? "", graceDays: row.graceDays ?? "", serverGroupId: row.serverGroupId ?? "" };
}

const pick = (row) => Object.fromEntries(Object.keys(EMPTY).filter((name) => row[name] !== undefined).map((name) => [name, row[name]]));

/** What the API takes; blanks are left to it. */
function body(draft) {
  const days = String(draft.graceDays).trim();
  return {
    ...draft,
    enhancePlanId: draft.kind === "service" ? draft.enhancePlanId || null : null,
    graceDays: days === "" ? null : /^\d+$/.test(days) ? Number(days) : days,
    serverGroupId: draft.serverGroupId.trim() || null,
    billingPlanId: draft.billingPlanId.trim(),
  };
}

/**
 * The dialog of one change.
 *
 * @param {{change: {draft?: object, remove?: object, fixed: boolean, waiting: number}, choices: {id: number, name: string}[],
 *   close: () => void, left: () => void, done: () => void}} props `change`: a draft to write, or the mapping to remove;
 *   `left`: it is closed; `done`: and was applied before
 */
export function Change({ change, choices, close, left, done }) {
  const [draft, edit] = useState(change.draft);
  const [shown, setShown] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(null);
  const removed = change.remove;
  const life = useRef(null);
  const under = useRef(false); // at once, where `busy` is drawn a moment later
  useLayoutEffect(() => () => life.current?.abort(), []);
  const price = removed ? removed.billingPlanId : draft.billingPlanId;

  const send = (more, signal) => {
    const how = { signal, harmless: more.dryRun };
    return removed
      ? ask(PATH, { method: "DELETE", query: { billingProvider: removed.billingProvider, billingPlanId: removed.billingPlanId, ...more }, ...how })
      : ask(PATH, { method: "PUT", body: { ...body(draft), ...more }, ...how });
  };

  const leave = () => {
    close();
    left();
  };
  const rest = () => {
    under.current = false;
    setBusy(null);
  };

  /** Ask for one thing at a time; an answer that nobody waits for any more changes nothing. */
  async function attempt(doing, what, act) {
    const { signal } = (life.current = new AbortController());
    under.current = true;
    setBusy(doing);
    try {
      await act(signal);
    } catch (error) {
      if (!signal.aborted) setProblem({ error, what });
      return error;
    } finally {
      if (!signal.aborted) rest();
    }
    return null;
  }

  const look = () => attempt("preview", say.effect.previewFailed, async (signal) => {
    const found = await send({ dryRun: true }, signal);
    if (!signal.aborted) setShown(found);
  });
  const preview = (event) => {
    event.preventDefault();
    if (under.current) return;
    setProblem(null);
    look();
  };
  const apply = async () => {
    if (under.current) return;
    setProblem(null);
    const failed = await attempt("apply", say.effect.failed, async (signal) => {
      const made = await send({ asOf: shown.asOf }, signal);
      announce(removed ? say.effect.removed(price) : made.changed ? say.effect.made(price, change.waiting) : say.effect.same(price));
      if (signal.aborted) return;
      leave();
      done();
    });
    if (failed?.status !== 409) return;
    setShown(null);
    if (failed.code === "changed_meanwhile") look(); // what it would do now, beside why it was not done
  };
  const amend = (values) => {
    life.current?.abort(); // a preview that is under way is of another draft
    rest();
    setProblem(null);
    edit({ ...draft, ...values });
    setShown(null);
  };

  const title = removed ? say.draft.removeTitle(price) : change.fixed ? say.draft.title(price) : say.draft.titleNew;
  return html`
    <${Dialog} title=${title} onClose=${leave} wide busy=${busy === "apply"}>
      <form id=${FORM} onSubmit=${preview}><fieldset class="plain" disabled=${busy === "apply"}>
        ${removed ? html`<p>${say.draft.removeNote}</p>` : html`<${Fields} draft=${draft} change=${amend} choices=${choices} fixed=${change.fixed} faults=${problem?.error.errors ?? []} />`}
      </fieldset></form>
      <${Heard}>${busy === "preview" ? say.draft.previewing : busy === "apply" ? say.effect.applying : shown && summaryOf(shown, change.waiting)}</${Heard}>
      ${busy === "preview" && html`<p class="soft">${say.draft.previewing}</p>`}
      ${problem && html`<${Failure} what=${problem.what} problem=${problem.error} />`}
      ${shown && html`<${Effect} shown=${shown} waiting=${change.waiting} busy=${busy === "apply"} />`}
      <footer>
        <button type="button" class="quiet" disabled=${busy === "apply"} onClick=${leave}>${say.draft.cancel}</button>
        <button form=${FORM} class=${shown ? "" : "main"} disabled=${busy !== null}>${say.draft.preview}</button>
        ${shown && html`<button type="button" class=${removed ? "bad" : "main"} disabled=${busy !== null} onClick=${apply}>${say.effect.apply(shown.moves.length)}</button>`}
      </footer>
    <//>
  `;
}

/** How each plan can be written, [value, name]: by its name, or as the mapping that is being changed has it already. */
function spelled(choices, present) {
  const found = choices.map((plan) => {
    const alone = !/^\d+$/.test(plan.name) && choices.filter(({ name }) => name === plan.name).length === 1;
    return [present === String(plan.id) || !alone ? String(plan.id) : plan.name, plan.name];
  });
  return present && !found.some(([value]) => value === present) ? [...found, [present, present]] : found;
}

function Fields({ draft, change, choices, fixed, faults }) {
  const fault = (name) => faults.filter((one) => one.field === name).map((one) => html`<span class="fault">${one.detail}</span>`);
  const typed = (name) => ({ name, value: draft[name], onInput: (event) => change({ [name]: event.target.value }) });
  return html`
    <div class="grid">
      ${!fixed && html`
        <label class="field"><span>${say.draft.provider}</span>
          <select ...${typed("billingProvider")}>
            ${Object.entries(say.draft.providers).map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}
          </select>
        </label>
        <label class="field"><span>${say.draft.price}</span> <input ...${typed("billingPlanId")} required autocomplete="off" spellcheck=${false} />
          <small class="soft">${say.draft.priceHelp}</small> ${fault("billingPlanId")}
        </label>`}
      <label class="field"><span>${say.draft.kind}</span>
        <select ...${typed("kind")}>
          ${Object.entries(say.kindsLong).map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}
        </select> <small class="soft">${say.draft.kindHelp[draft.kind]}</small>
      </label>
      ${draft.kind === "service" && html`
        <label class="field"><span>${say.draft.plan}</span>
          <select ...${typed("enhancePlanId")} required>
            <option value="">${say.draft.choose}</option>
            ${spelled(choices, draft.enhancePlanId).map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}
          </select> ${fault("enhancePlanId")}
        </label>
        <label class="field"><span>${say.draft.activateOn}</span>
          <select ...${typed("activateOn")}>
            ${Object.entries(say.activateOn).map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}
          </select>
        </label>
        <label class="field"><span>${say.draft.graceDays}</span> <input ...${typed("graceDays")} inputmode="numeric" />
          <small class="soft">${say.draft.graceHelp}</small> ${fault("graceDays")}
        </label>
        <label class="field"><span>${say.draft.serverGroupId}</span> <input ...${typed("serverGroupId")} autocomplete="off" spellcheck=${false} />
          <small class="soft">${say.draft.serverGroupHelp}</small> ${fault("serverGroupId")}
        </label>
        <label class="check"><input type="checkbox" checked=${draft.createWebsite} onChange=${(event) => change({ createWebsite: event.target.checked })} /> ${say.draft.createWebsite}</label>`}
    </div>
  `;
}
