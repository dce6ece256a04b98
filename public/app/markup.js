/** What every module that makes markup needs: Preact's `h` written as HTML (htm), and the hooks. */

import { Fragment, h, render } from "/vendor/preact.js";
import htm from "/vendor/htm.js";

export const html = htm.bind(h);
export { Fragment, render };
export { useEffect, useErrorBoundary, useMemo, useRef, useState } from "/vendor/preact-hooks.js";
