/** A modal `<dialog>`: Esc closes it, and the focus goes back to where it was. */

import { html, useLayoutEffect, useRef } from "/app/markup.js";
import { answer } from "/app/parts/presented.js";
import { texts } from "/app/texts.js";

let number = 0;

/**
 * @param {{title: string, onClose?: () => void, children: any, wide?: boolean, fixed?: boolean, busy?: boolean}} props
 *   `fixed`: it can't be closed (the key is asked for); `busy`: not now (an answer is on its way), and not by the back key either.
 */
export function Dialog({ title, onClose, children, wide, fixed, busy }) {
  const box = useRef(null);
  const id = useRef(`dialog-${++number}`);
  const over = useRef(false);
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = box.current;
    shown.showModal();
    shown.querySelector("input, select, textarea")?.focus({ preventScroll: true }); // what is asked for, not the cross that closes it; but read from the top
    return () => {
      over.current = true;
      shown.close(); // while it is modal nothing else takes the focus
      (before?.isConnected ? before : document.getElementById("content"))?.focus({ preventScroll: true });
    };
  }, []);
  useLayoutEffect(() => {
    answer(busy);
    return () => answer(false);
  }, [busy]);
  const cancel = (event) => {
    event.preventDefault();
    if (!fixed && !busy) onClose();
  };
  const closed = () => {
    if (over.current) return;
    if (fixed || busy) box.current.showModal(); // a second Esc closes it whatever `cancel` says
    else onClose();
  };
  return html`
    <dialog ref=${box} tabindex="-1" class=${wide ? "dialog wide" : "dialog"} aria-labelledby=${id.current} onCancel=${cancel} onClose=${closed}>
      <header>
        <h2 id=${id.current}>${title}</h2>
        ${!fixed && html`<button type="button" class="quiet close" aria-label=${texts.dialog.close} disabled=${busy} onClick=${onClose}><${Cross} /></button>`}
      </header>
      ${children}
    </dialog>
  `;
}

function Cross() {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M4 4l8 8M12 4l-8 8" /></svg>`;
}
