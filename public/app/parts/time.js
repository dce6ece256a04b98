/** A time as the switch wants it, with both spellings on hover; relative ones go on by themselves. */

import * as format from "/app/format.js";
import { html } from "/app/markup.js";
import { showTimes, times } from "/app/session.js";
import { store, useStore } from "/app/store.js";
import { announce } from "/app/parts/live.js";
import { texts } from "/app/texts.js";

const TICK = 15_000; // ms: "3 min ago" need not be more exact
const beat = store(0);
const go = () => document.hidden || beat.set(beat.get() + 1);
setInterval(go, TICK);
document.addEventListener("visibilitychange", go); // what was right when it was left is not when it is seen again

/** @param {{at: string|null, none?: string}} props ISO 8601; `none`: shown where there is no time */
export function Time({ at, none = "" }) {
  const how = useStore(times);
  useStore(beat);
  if (!at) return none;
  const title = `${format.time(at, "local")} · ${format.time(at, "utc")}`;
  return html`<time datetime=${at} title=${title}>${format.time(at, how)}</time>`;
}

/** The switch. */
export function TimesSwitch() {
  const how = useStore(times);
  const choose = (event) => {
    showTimes(event.target.value);
    announce(`${texts.frame.times}: ${texts.frame.timesIn[event.target.value]}`);
  };
  return html`
    <span class="times">
      <select aria-label=${texts.frame.times} value=${how} onChange=${choose}>
        ${Object.entries(texts.frame.timesIn).map(([value, label]) => html`<option value=${value} selected=${value === how}>${label}</option>`)}
      </select>
    </span>
  `;
}
