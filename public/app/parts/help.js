/** What the keys do. */

import { html } from "/app/markup.js";
import { Dialog } from "/app/parts/dialog.js";
import { texts } from "/app/texts.js";

export function Help({ close }) {
  return html`
    <${Dialog} title=${texts.help.title} onClose=${close}>
      <dl class="keys">${Object.entries(texts.help.keys).map(([key, does]) => html`<dt key=${key}><kbd>${key}</kbd></dt><dd>${does}</dd>`)}</dl>
      <p>${texts.help.more}</p>
      <p class="soft">${texts.help.words}</p>
      <footer><button type="button" class="main" onClick=${close}>${texts.dialog.close}</button></footer>
    </${Dialog}>
  `;
}
