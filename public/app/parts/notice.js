/** Failures, and lists with nothing in them: what it is, and what to do. */

import { html } from "/app/markup.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";

/**
 * What failed, why, and what to do.
 *
 * @param {{what: string, problem: import("/app/api.js").Problem, again?: () => void}} props `what`: "Finding customers"
 */
export function Failure({ what, problem, again }) {
  return html`
    <div class="notice bad" role="alert">
      <p><strong>${(problem.unsure ? texts.problems.unsure : texts.problems.failed)(what)}</strong>: ${problem.detail ?? String(problem)}</p>
      ${problem.errors?.length > 1 && html`<ul>${problem.errors.map((fault) => html`<li><code>${fault.field}</code> ${fault.detail}</li>`)}</ul>`}
      ${problem.remedy && html`<p>${problem.remedy}</p>`}
      ${again && html`<button type="button" onClick=${again}>${texts.problems.again}</button>`}
    </div>
  `;
}

/**
 * Nothing to show: by which filters, and the next step.
 *
 * @param {{says: string, next?: string, filters?: [string, string][], params?: object}} props
 *   `filters`: (label, value) of those that are set; `params`: where one is without them.
 */
export function Empty({ says, next, filters = [], params }) {
  const named = filters.map(([label, value]) => `${label} ${value}`).join(", ");
  return html`
    <div class="empty">
      <p>${filters.length ? texts.empty.with(named) : says}</p>
      ${next && html`<p class="soft">${next}</p>`}
      ${filters.length > 0 && params && html`<p><a href=${href(params)}>${texts.empty.clear}</a></p>`}
    </div>
  `;
}

/** A place that is being filled. */
export function Loading() {
  return html`<p class="loading soft" aria-busy="true">${texts.table.loading}</p>`;
}
