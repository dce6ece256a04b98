/**
 * An act on all that match: a preview with the number and a sample, a button that shows the number, and how far it has
 * come. The server does exactly what was shown, or nothing.
 */

import { ask, post } from "/app/api.js";
import { count } from "/app/format.js";
import { html, useLayoutEffect, useRef, useState } from "/app/markup.js";
import { Dialog } from "/app/parts/dialog.js";
import { complete, Fields, initial } from "/app/parts/fields.js";
import { announce, Heard } from "/app/parts/live.js";
import { Failure } from "/app/parts/notice.js";
import { present } from "/app/parts/presented.js";
import { Time } from "/app/parts/time.js";
import { texts } from "/app/texts.js";

const LOOK = 2000; // ms between two looks at the progress

/**
 * @param {{
 *   label: string, title: string, says: string, what: string, tone?: "bad", route: string, disabled?: boolean,
 *   fields?: import("/app/parts/fields.js").Field[], body: (values: Record<string, string>) => object,
 *   go: (count: number, values: Record<string, string>) => string, done?: () => void,
 * }} props
 *   `body`: the act without dryRun, expected and asOf, which are added; `go`: "Retry 14"
 */
export function Bulk(props) {
  return html`<button type="button" class=${props.tone ?? ""} disabled=${props.disabled} aria-haspopup="dialog" onClick=${() => present(BulkDialog, props)}>${props.label}</button>`;
}

function BulkDialog({ title, says, what, tone, route, fields = [], body, go, done, close }) {
  const [values, setValues] = useState(() => initial(fields));
  const [stage, setStage] = useState({ name: "form" });
  const life = useRef(new AbortController());
  useLayoutEffect(() => () => life.current.abort(), []);
  const under = useRef(false);
  const during = async (name, work) => {
    if (under.current) return; // asked for already
    under.current = true;
    setStage((before) => ({ ...before, busy: true, problem: null }));
    try {
      const next = await work({ signal: life.current.signal });
      setStage({ ...next });
    } catch (problem) {
      if (!life.current.signal.aborted) setStage((before) => ({ ...before, name, busy: false, problem, ...(problem.preview && { shown: problem.preview }) }));
    } finally {
      under.current = false;
    }
  };
  const preview = () => during("form", async (how) => ({ name: "shown", shown: await post(route, { ...body(values), dryRun: true }, { ...how, harmless: true }) }));
  const act = () =>
    during("shown", async (how) => {
      const { matches, asOf } = stage.shown;
      const begun = await post(route, { ...body(values), expected: matches, asOf }, how);
      announce(texts.bulk.begun);
      done?.();
      return { name: "begun", begun, matches };
    });
  useLayoutEffect(() => {
    if (!fields.length) preview();
  }, []);
  const acting = stage.busy && stage.name === "shown"; // its answer is waited for
  const change = (name, value) => setValues((before) => ({ ...before, [name]: value }));
  const entered = (event) => {
    event.preventDefault();
    if (stage.name === "form" && complete(fields, values)) preview(); // what is done is never done by Enter in a field
  };
  return html`
    <${Dialog} title=${title} onClose=${close} busy=${acting}>
      <form onSubmit=${entered}>
      <p>${says}</p>
      <${Heard}>${heard(stage)}</${Heard}>
      ${stage.name === "form" && fields.length > 0 && html`<fieldset class="plain" disabled=${stage.busy}><${Fields} fields=${fields} values=${values} set=${change} /></fieldset>`}
      ${stage.name === "shown" && html`<${Shown} shown=${stage.shown} />`}
      ${stage.name === "begun" && html`<${Progress} begun=${stage.begun} matches=${stage.matches} done=${done} />`}
      ${stage.busy && html`<p class="soft" aria-busy="true">${stage.name === "form" ? texts.bulk.previewing : texts.act.sending}</p>`}
      ${stage.problem && html`<${Failure} what=${what} problem=${stage.problem} />`}
      <footer>
        <button type="button" class="quiet" disabled=${acting} onClick=${close}>${stage.name === "begun" ? texts.dialog.close : texts.dialog.cancel}</button>
        ${stage.name === "shown" && html`<button type="button" class="quiet" disabled=${stage.busy} onClick=${fields.length ? () => setStage({ name: "form" }) : preview}>${fields.length ? texts.bulk.back : texts.table.refresh}</button>`}
        ${stage.name === "form" && html`<button class="main" disabled=${stage.busy || !complete(fields, values)}>${texts.bulk.preview}</button>`}
        ${stage.name === "shown" && stage.shown.matches > 0 && html`<button type="button" class=${tone ?? "main"} disabled=${stage.busy} onClick=${act}>${go(stage.shown.matches, values)}</button>`}
      </footer>
      </form>
    </${Dialog}>
  `;
}

/** What is read aloud of it as it comes: what is done is told when it is. */
function heard({ name, busy, shown }) {
  if (busy) return name === "form" ? texts.bulk.previewing : texts.act.sending;
  return name === "shown" ? (shown.matches ? texts.bulk.matches(shown.matches) : texts.bulk.none) : "";
}

function Shown({ shown }) {
  if (!shown.matches) return html`<p><strong>${texts.bulk.none}</strong></p>`;
  return html`
    <p><strong>${texts.bulk.matches(shown.matches)}</strong> <span class="soft">${texts.bulk.asOf} <${Time} at=${shown.asOf} /></span></p>
    ${shown.sample?.length > 0 && html`<p class="soft">${texts.bulk.sample}</p><ul class="sample">${shown.sample.map((key) => html`<li key=${key}><code>${typeof key === "string" ? key : JSON.stringify(key)}</code></li>`)}</ul>`}
  `;
}

function Progress({ begun, matches, done }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useLayoutEffect(() => {
    if (!begun.id) return undefined;
    const life = new AbortController();
    let timer;
    const look = async () => {
      try {
        const progress = await ask("/api/admin/work", { query: { batch: begun.id }, signal: life.signal });
        setFound(progress);
        setProblem(null);
        if (progress.left === 0) {
          announce(texts.bulk.finished);
          return done?.();
        }
      } catch (failed) {
        if (!life.signal.aborted) setProblem(failed);
      }
      if (!life.signal.aborted) timer = setTimeout(look, LOOK);
      return undefined;
    };
    look();
    return () => {
      life.abort();
      clearTimeout(timer);
    };
  }, [begun.id]);
  if (!begun.id) return html`<p><strong>${texts.act.done}</strong></p>`; // it was done at once: there is nothing to wait for
  const all = begun.subjects ?? matches; // what is played again concerns fewer subjects than there are events
  const left = Math.min(found?.left ?? all, all);
  return html`
    <p>${found?.left === 0 ? texts.bulk.finished : texts.bulk.begun}</p>
    <label class="progress"><span>${texts.bulk.left(all - left, all)}</span><progress max=${all || 1} value=${all ? all - left : 1} aria-label=${texts.bulk.progress}>${count(all - left)}</progress></label>
    ${problem && html`<${Failure} what=${texts.bulk.progress} problem=${problem} />`}
  `;
}
