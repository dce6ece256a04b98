/**
 * A button that changes something. It asks first and names what happens; then it shows asked -> applied -> verified, each
 * step only when the answer or the ledger has said so.
 */

import { unreadable } from "/app/api.js";
import { html, useLayoutEffect, useRef, useState } from "/app/markup.js";
import { Dialog } from "/app/parts/dialog.js";
import { complete, Fields, initial } from "/app/parts/fields.js";
import { announce } from "/app/parts/live.js";
import { Failure } from "/app/parts/notice.js";
import { present } from "/app/parts/presented.js";
import { texts } from "/app/texts.js";

/**
 * @typedef {{state: "done"|"later"|"failed"|"waiting"|"doing", lines: any[]}} Step what came of a step, for people;
 *   "later": it is done, and read back by something that comes later
 *
 * @param {{
 *   label: string, title?: string, says: any, what: string, tone?: "bad", quiet?: boolean, disabled?: boolean,
 *   fields?: import("/app/parts/fields.js").Field[],
 *   send: (values: Record<string, string>, signal: AbortSignal) => Promise<any>,
 *   applied: (answer: any) => Step,
 *   verify?: (answer: any, signal: AbortSignal) => Promise<Step>,
 *   done?: () => void, go?: string | ((values: Record<string, string>) => string),
 * }} props
 *   `label`: of the button, with the number that it acts on; `says`: what happens; `what`: for failures, "Holding";
 *   `go`: the words of the button that does it (`label` where there are no others); `done`: once the dialog is closed, to read anew
 */
export function Act(props) {
  return html`<button type="button" class=${[props.tone, props.quiet && "quiet"].filter(Boolean).join(" ")} disabled=${props.disabled} aria-haspopup="dialog" onClick=${() => present(ActDialog, props)}>${props.label}</button>`;
}

function ActDialog({ label, title = label, says, what, tone, fields = [], send, applied, verify, done, go = label, close }) {
  const [values, setValues] = useState(() => initial(fields));
  const [run, setRun] = useState(null);
  const life = useRef(null);
  useLayoutEffect(() => () => life.current?.abort(), []);
  const begin = async (event) => {
    event.preventDefault();
    if (life.current) return; // asked for already
    life.current = new AbortController();
    const told = await perform({ values, send, applied, verify, signal: life.current.signal, show: setRun });
    if (told !== null) announce(heard(label, told));
  };
  const end = () => {
    close();
    if (run) done?.(); // not before: what is read anew may have no place for this button
  };
  const again = () => {
    life.current = null;
    setRun(null);
  };
  const words = typeof go === "function" ? go(values) : go;
  const others = run?.problem?.code === "changed_meanwhile"; // what it would be done to now has to be looked at first
  return html`
    <${Dialog} title=${title} onClose=${end} busy=${run?.busy && run.applied === null}>
      ${run === null
        ? html`
            <form onSubmit=${begin}>
              <p>${typeof says === "function" ? says(values) : says}</p>
              <${Fields} fields=${fields} values=${values} set=${(name, value) => setValues((before) => ({ ...before, [name]: value }))} />
              <footer>
                <button type="button" class="quiet" onClick=${close}>${texts.dialog.cancel}</button>
                <button class=${tone ?? "main"} disabled=${!complete(fields, values)}>${words}</button>
              </footer>
            </form>
          `
        : html`
            <${Steps} run=${run} />
            ${run.problem && html`<${Failure} what=${what} problem=${run.problem} />`}
            <footer>
              ${run.problem && !others && html`<button type="button" class="quiet" onClick=${again}>${texts.bulk.back}</button>`}
              <button type="button" class="main" disabled=${run.busy} onClick=${end}>${others ? texts.table.refresh : texts.dialog.close}</button>
            </footer>
          `}
    </${Dialog}>
  `;
}

/** What is read aloud of an act: what still waits, for itself or for a person, is no success. */
function heard(label, { state, lines }) {
  if (state === "failed") return texts.act.heardFailed(label);
  if (state === "waiting") return texts.act.heardWaiting(label, lines.filter((line) => typeof line === "string").join(" "));
  return texts.act.heard(label);
}

/** What an answer says; one that can't be one of the API's leaves open what was done. */
function understood(applied, answer) {
  try {
    return applied(answer);
  } catch (error) {
    console.info(error);
    throw unreadable(0, true);
  }
}

/** Go through the steps; the one that says how it ended, null when nobody looks any more or that is said already. */
async function perform({ values, send, applied, verify, signal, show }) {
  const run = { busy: true, asked: { state: "doing", lines: [texts.act.waiting] }, applied: null, verified: null, problem: null, checks: Boolean(verify) };
  const tell = (part) => signal.aborted || show(Object.assign(run, part) && { ...run });
  tell({});
  let answer;
  try {
    answer = await send(values, signal);
    tell({ asked: { state: "done", lines: [] }, applied: understood(applied, answer) });
  } catch (problem) {
    if (signal.aborted) return null;
    tell({ busy: false, asked: { state: problem.unsure ? "waiting" : "failed", lines: [] }, problem });
    return null; // the failure is read aloud by itself
  }
  if (verify && run.applied.state !== "failed") {
    tell({ verified: { state: "doing", lines: [texts.act.reading] } });
    tell({ verified: await verify(answer, signal).catch((problem) => ({ state: "waiting", lines: [`${texts.act.readFailed} ${problem.detail ?? ""}`] })) });
  }
  if (signal.aborted) return null;
  tell({ busy: false });
  const told = [run.verified, run.applied].filter(Boolean);
  return told.find((step) => step.state === "failed") ?? told.find((step) => step.state === "waiting") ?? run.applied;
}

function Steps({ run }) {
  const names = run.checks ? ["asked", "applied", "verified"] : ["asked", "applied"];
  return html`
    <ol class="steps">
      ${names.map((name) => {
        const step = run[name];
        return html`
          <li key=${name} class=${step?.state ?? "open"}>
            <strong>${texts.act[name]}</strong>
            ${step?.lines.map((line, at) => html`<div key=${at}>${line}</div>`)}
          </li>
        `;
      })}
    </ol>
  `;
}
