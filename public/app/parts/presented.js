/**
 * The dialog that is open. It stands beside the screen, not in it: what is read anew meanwhile may have no place any more
 * for the button that opened it, and takes it away from nobody.
 */

import { html, useLayoutEffect } from "/app/markup.js";
import { store, useStore } from "/app/store.js";

const presented = store(null);
let number = 0;
let waits = false;

/** Whether a dialog waits for the answer to an act: it can't be left before. */
export const answering = () => waits;

/** Say so of the dialog that is open; told by itself. */
export function answer(under) {
  waits = Boolean(under);
}

/**
 * Open a dialog. `props` stay as they are now: what was shown is what is done.
 *
 * @returns {() => void} takes it away again, unless its answer is on its way
 */
export function present(component, props) {
  const open = { component, props, number: (number += 1) };
  presented.set(open);
  return () => {
    if (!waits && presented.get() === open) presented.set(null);
  };
}

/** @param {{place: string}} props where one is: on another screen nobody looks at it any more, unless its answer is on its way */
export function Presented({ place }) {
  const open = useStore(presented);
  useLayoutEffect(() => () => waits || presented.set(null), [place]);
  useLayoutEffect(() => () => presented.set(null), []);
  if (!open) return null;
  const close = () => presented.get() === open && presented.set(null);
  return html`<${open.component} key=${open.number} ...${open.props} close=${close} />`;
}
