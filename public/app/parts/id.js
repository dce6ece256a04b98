/** An id that is copied with one click, with a link to where it lives. */

import { announce } from "/app/parts/live.js";
import { html } from "/app/markup.js";
import { texts } from "/app/texts.js";

/** Copy a text, and say so. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce(texts.id.copied);
  } catch {
    announce(texts.id.failed);
  }
}

/**
 * @param {{value: string, what: string, url?: string, at?: string}} props
 *   `what`: "customer id"; `url`, `at`: where it lives, and how that is called
 */
export function Id({ value, what, url, at }) {
  return html`
    <span class="id">
      <code>${value}</code>
      <button type="button" class="quiet copy" aria-label=${texts.id.copy(`${what} ${value}`)} title=${texts.id.copy(what)} onClick=${() => copy(value)}>
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M6 6h7v7H6zM3 10V3h7" /></svg>
      </button>
      ${url && html`<a class="out" href=${url} target="_blank" rel="noopener noreferrer">${at} ↗</a>`}
    </span>
  `;
}
