/** What other settings would change at once; asking changes nothing. */

import { post } from "/app/api.js";
import { href } from "/app/router.js";
import { html, useLayoutEffect, useRef, useState } from "/app/markup.js";
import { Heard } from "/app/parts/live.js";
import { Failure } from "/app/parts/notice.js";
import { Time } from "/app/parts/time.js";
import { plans as say } from "/app/texts/plans.js";

const CHOICES = {
  ON_DISPUTE: ["suspend", "ignore"], ON_DISPUTE_LOST: ["suspend", "ignore"], ON_REFUND: ["ignore", "suspend"],
  PAUSE_COLLECTION: ["keep", "suspend"],
};
const RESULTS = ["suspended", "deleted", "resumed", "sooner", "later"];

/** The form and its answer. */
export function WhatIf() {
  const said = say.whatIf;
  const [settings, edit] = useState({});
  const [answer, setAnswer] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const life = useRef(null);
  useLayoutEffect(() => () => life.current?.abort(), []);
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value.trim() !== ""));

  async function compute(event) {
    event.preventDefault();
    life.current?.abort();
    const { signal } = (life.current = new AbortController());
    setAnswer(null);
    setProblem(null);
    setBusy(true);
    try {
      setAnswer(await post("/api/admin/dashboard", { action: "whatIf", settings: given }, { signal, harmless: true }));
    } catch (error) {
      if (!signal.aborted) setProblem(error);
    } finally {
      if (!signal.aborted) setBusy(false);
    }
  }

  function change(name, value) {
    life.current?.abort(); // an answer that is there or under way is to another question
    setAnswer(null);
    setBusy(false);
    edit({ ...settings, [name]: value });
  }

  return html`
    <section class="card" aria-labelledby="what-if">
      <header><h2 id="what-if">${said.title}</h2></header>
      <div class="body">
      <p class="soft">${said.intro} ${said.apply}</p>
      <form onSubmit=${compute}>
        <div class="grid">
          ${Object.entries(said.settings).map(([name, [label, about]]) => html`
            <label key=${name} class="field"><span><code>${label}</code></span>
              <${Setting} name=${name} value=${settings[name] ?? ""} change=${(value) => change(name, value)} />
              <small class="soft">${about}</small>
            </label>`)}
        </div>
        <p class="row"><button class="main" disabled=${busy || Object.keys(given).length === 0}>${said.ask}</button> <span class="soft">${Object.keys(given).length ? null : said.nothingSet}</span></p>
      </form>
      <${Heard}>${busy ? said.asking : answer && summariesOf(answer).join(" ")}</${Heard}>
      ${busy ? html`<p>${said.asking}</p>` : null}
      ${problem ? html`<${Failure} what=${said.failed} problem=${problem} />` : null}
      ${answer ? html`<${Result} answer=${answer} />` : null}
      </div>
    </section>
  `;
}

function Setting({ name, value, change }) {
  const told = (event) => change(event.target.value);
  if (!CHOICES[name]) return html`<input value=${value} onInput=${told} placeholder=${say.whatIf.asNow} />`;
  return html`
    <select value=${value} onChange=${told}>
      <option value="">${say.whatIf.asNow}</option>
      ${CHOICES[name].map((one) => html`<option value=${one}>${one}</option>`)}
    </select>
  `;
}

const foundIn = (answer) => RESULTS.filter((name) => answer[name].total > 0);

function summariesOf(answer) {
  const found = foundIn(answer);
  return found.length ? found.map((name) => say.whatIf.summary(name, answer[name].total)) : [say.whatIf.nothing];
}

function Result({ answer }) {
  const said = say.whatIf;
  const found = foundIn(answer);
  return html`
    <div>
      <p class="soft">${said.asOf} <${Time} at=${answer.asOf} /></p>
      ${found.length === 0 ? html`<p class="summary">${said.nothing}</p>` : null}
      ${found.map((name) => html`
        <p class="summary">${said.summary(name, answer[name].total)}</p>
        <p class="soft">${said.first(answer[name].sample.length, answer[name].total)}</p>
        <ul class="those">${answer[name].sample.map((one) => html`<${Sample} one=${one} />`)}</ul>`)}
      ${answer.braked ? html`<p class="notice warn">${said.braked(answer.braked)}</p>` : null}
      ${answer.notKnown ? html`<p class="notice warn">${said.notKnown(answer.notKnown)}</p>` : null}
    </div>
  `;
}

function Sample({ one }) {
  return html`<li><a href=${href({ view: "customer", id: one.customerId })}>${one.domain ?? one.customerId}</a> <code class="soft">${one.service}</code></li>`;
}
