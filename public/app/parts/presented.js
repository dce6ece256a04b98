/**
 * The dialog that is open. It stands beside the screen, not in it: what is read anew meanwhile may have no place any more
 * for the button that opened it, and takes it away from nobody.
 */

import { html, useLayoutEffect } from "/app/markup.js";
import { store, useStore } from "/app/store.js";

const presented = store(null);
let number = 0;

/** Open a dialog. `props` stay as they are now: what was shown is what is done. */
export function present(component, props) {
  presented.set({ component, props, number: (number += 1) });
}

/** @param {{place: string}} props where one is: on another screen nobody looks at it any more */
export function Presented({ place }) {
  const open = useStore(presented);
  useLayoutEffect(() => () => presented.set(null), [place]);
  if (!open) return null;
  const close = () => presented.get() === open && presented.set(null);
  return html`<${open.component} key=${open.number} ...${open.props} close=${close} />`;
}
