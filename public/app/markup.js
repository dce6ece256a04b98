/**
 * What every module that makes markup needs: Preact's `h` written as HTML (htm), and the hooks.
 *
 * `useLayoutEffect` is done before the next key or click can come. Preact's `useEffect`, which waits for the next frame, is
 * left out: on a busy machine that frame is late, and what opens, listens or moves the focus would miss who types on.
 */

import { Fragment, h, render } from "/vendor/preact.js";
import htm from "/vendor/htm.js";

export const html = htm.bind(h);
export { Fragment, render };
export { useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from "/vendor/preact-hooks.js";
