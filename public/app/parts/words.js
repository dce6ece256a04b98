/** Words of the API with the colour of what they mean. */

import { count, words } from "/app/format.js";
import { html } from "/app/markup.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

const TONES = {
  live: "good", verified: "good", settled: "good", delivered: "good", sent: "good", equal: "good", ok: "good", done: "good", succeeded: "good", paid: "good",
  suspended: "warn", waiting: "warn", again: "warn", failing: "warn", unknown: "warn", partial: "warn", paying: "info",
  parked: "bad", failed: "bad", refused: "bad", differs: "bad", disabled: "bad", stuck: "bad", disputed: "bad",
  pending: "info", due: "info", working: "info", applied: "info",
};

/**
 * @param {{word: string, label?: string, tone?: "good"|"warn"|"bad"|"info"|"off", title?: string}} props
 *   `label`: where it is not the word itself
 */
export function Badge({ word, label, tone, title }) {
  return html`<span class=${`badge ${tone ?? TONES[word] ?? "off"}`} title=${title}>${label ?? texts.states[word] ?? words(word)}</span>`;
}

/** What holds a service. */
export function Holds({ holds }) {
  return holds.map((hold) => html`<${Badge} key=${hold} word=${hold} label=${texts.holds[hold] ?? words(hold)} tone="warn" /> `);
}

/** How many services are in each state: `{live: 2}`. */
export function States({ states }) {
  return Object.entries(states)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => html`<${Badge} key=${state} word=${state} label=${`${number > 1 ? `${count(number)} ` : ""}${texts.states[state] ?? words(state)}`} /> `);
}

/** Where on this page the remedy of a reason is, if it is. */
export function Remedy({ reason }) {
  const here = texts.remedies[reason];
  return here ? html`<a href=${href(here.params)}>${here.link}</a>` : null;
}

/** A link to a customer. */
export function CustomerLink({ id, label }) {
  return html`<a href=${href({ view: "customer", id })}>${label ?? id}</a>`;
}
