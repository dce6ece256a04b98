/** The door: asks for a key, tries it, and says when it is wrong. */

import { ask } from "/app/api.js";
import { html, useRef, useState } from "/app/markup.js";
import { Dialog } from "/app/parts/dialog.js";
import { Failure } from "/app/parts/notice.js";
import { refused, unlock } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";

export function KeyDialog() {
  const again = useStore(refused);
  const [typed, setTyped] = useState("");
  const [state, setState] = useState({ busy: false, wrong: false, problem: null });
  const field = useRef(null);
  const open = async (event) => {
    event.preventDefault();
    const key = typed.trim();
    setState({ busy: true, wrong: false, problem: null });
    try {
      if (!/^[\x21-\xff]+$/.test(key)) throw { status: 401 }; // no header can carry it, so no key is like this
      await ask("/api/admin/work", { as: key, query: { limit: 1 } });
      unlock(key);
    } catch (problem) {
      setState({ busy: false, wrong: problem.status === 401, problem: problem.status === 401 ? null : problem });
      field.current.select(); // what is typed next is the other one
      field.current.focus();
    }
  };
  return html`
    <${Dialog} title=${texts.key.title} fixed>
      <form onSubmit=${open}>
        <p>${texts.key.says}</p>
        <div class="field">
          <label for="admin-key">${texts.key.label}</label>
          <input ref=${field} id="admin-key" type="password" name="key" value=${typed} required autofocus autocomplete="off" spellcheck=${false} aria-invalid=${state.wrong ? "true" : undefined} aria-describedby="key-said" onInput=${(event) => setTyped(event.target.value)} />
        </div>
        <div id="key-said" role="alert">
          ${state.wrong && html`<p class="fault">${texts.key.wrong}</p>`}
          ${!state.wrong && again && html`<p class="fault">${texts.key.refused} ${texts.key[again]}</p>`}
        </div>
        ${state.problem && html`<${Failure} what=${texts.key.tryingWhat} problem=${state.problem} />`}
        <footer><button class="main" disabled=${state.busy || !typed.trim()}>${state.busy ? texts.key.trying : texts.key.open}</button></footer>
      </form>
    </${Dialog}>
  `;
}
