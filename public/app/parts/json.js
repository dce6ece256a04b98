/** Something as the API sent it. */

import { copy } from "/app/parts/id.js";
import { html } from "/app/markup.js";
import { texts } from "/app/texts.js";

/** @param {{value: unknown, label?: string, open?: boolean}} props */
export function Json({ value, label, open = false }) {
  const text = JSON.stringify(value, null, 2);
  return html`
    <details class="json" open=${open}>
      <summary>${label ?? texts.json.show}</summary>
      <button type="button" class="quiet" onClick=${() => copy(text)}>${texts.id.copy(texts.json.copy)}</button>
      <pre tabindex="0">${text}</pre>
    </details>
  `;
}
