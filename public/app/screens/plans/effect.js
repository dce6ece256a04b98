/** What a change of a mapping would do. */

import { words } from "/app/format.js";
import { href } from "/app/router.js";
import { html } from "/app/markup.js";
import { plans as say } from "/app/texts/plans.js";

const LONGEST = 50; // lines of a list; the numbers above it are of all

/** @param {{shown: object, waiting: number, busy: boolean}} props `shown`: the API's ChangePreview */
export function Effect({ shown, waiting, busy }) {
  const { moves, suspends, refused, unclear } = shown;
  const quiet = moves.length + suspends.length + refused.length === 0;
  return html`
    <section class="effect" aria-label=${say.effect.title}>
      <h3>${say.effect.title}</h3>
      <p class="summary">${summaryOf(shown, waiting)}</p>
      <p>${quiet && waiting ? say.effect.nobodyElse : say.effect.customers(shown.customers)} ${!quiet && waiting ? say.effect.waiting(waiting) : null}</p>
      ${shown.lookedAt < shown.customers ? html`<p class="notice warn">${say.effect.part(shown.lookedAt, shown.customers)}</p>` : null}
      <${Those} title=${say.effect.refused} those=${refused} tell=${(one) => one.problems.map((problem) => `${problem.detail} ${problem.remedy}`).join(" ")} />
      <${Those} title=${say.effect.suspends} those=${suspends} tell=${(one) => one.action} />
      <${Those} title=${say.effect.unclear} those=${unclear} tell=${(one) => one.error} />
      <${Those} title=${say.effect.moves} those=${moves} tell=${(one) => say.effect.move(one.fromPlan, one.toPlan)} />
      ${busy ? html`<p>${say.effect.applying}</p>` : null}
    </section>
  `;
}

/** What it would do, in a line. */
export function summaryOf({ moves, suspends, refused }, waiting) {
  if (moves.length + suspends.length + refused.length === 0) return waiting ? say.effect.goesOn(waiting) : say.effect.nothing;
  const told = (of) => [...new Set(refused.flatMap((one) => one.problems.map(of)))];
  const details = told((problem) => problem.detail);
  const why = (details.length === 1 ? details : told((problem) => words(problem.reason))).join("; ");
  return say.effect.summary(moves.length, suspends.length, { count: refused.length, why });
}

/** Customers with what is told of each. */
export function Those({ title, those, tell }) {
  if (those.length === 0) return null;
  return html`
    <h4>${title} (${those.length})</h4>
    <ul class="those">
      ${those.slice(0, LONGEST).map((one) => html`
        <li><a href=${href({ view: "customer", id: one.customerId })}>${one.customerId}</a> ${tell(one)}</li>`)}
    </ul>
  `;
}
