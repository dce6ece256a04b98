/** The page: the door, the frame and the screen that the address names. It holds no data; all of it comes by the API. */

import { listen } from "/app/keyboard.js";
import { html, render, useErrorBoundary, useLayoutEffect, useRef } from "/app/markup.js";
import { useData } from "/app/parts/data.js";
import { keepFocus } from "/app/parts/focus.js";
import { Frame } from "/app/parts/frame.js";
import { Help } from "/app/parts/help.js";
import { KeyDialog } from "/app/parts/keydialog.js";
import { Empty, Failure } from "/app/parts/notice.js";
import { present, Presented } from "/app/parts/presented.js";
import { countOnce } from "/app/parts/twice.js";
import { followLinks, go, useRoute } from "/app/router.js";
import Customer from "/app/screens/customer.js";
import Customers from "/app/screens/customers.js";
import Events from "/app/screens/events.js";
import Orders from "/app/screens/orders.js";
import Overview from "/app/screens/overview.js";
import Plans from "/app/screens/plans.js";
import Work from "/app/screens/work.js";
import { key } from "/app/session.js";
import { useStore } from "/app/store.js";
import { texts } from "/app/texts.js";

/** Name in the address -> screen. Those in the navigation first, in its order. */
const SCREENS = { overview: Overview, customers: Customers, work: Work, plans: Plans, events: Events, orders: Orders };
const UNLISTED = { customer: Customer };
const ALL = { ...SCREENS, ...UNLISTED };
const PART_OF = { customer: "customers" };

function App() {
  const open = useStore(key);
  return html`${open ? html`<${Safely} key=${open} screen=${Inside} />` : html`<${KeyDialog} />`}`;
}

const help = () => present(Help, {});

function Inside() {
  const params = useRoute();
  const dashboard = useData("/api/admin/dashboard");
  const view = params.view ?? "overview";
  useLayoutEffect(() => listen({ help }), []);
  useFocusOnContent(view, params.id);
  const Screen = Object.hasOwn(ALL, view) ? ALL[view] : null;
  return html`
    <${Frame} screens=${Object.keys(SCREENS)} here=${PART_OF[view] ?? view} dashboard=${dashboard.data} help=${help}>
      ${Screen ? html`<${Safely} key=${`${view} ${params.id ?? ""}`} screen=${Screen} params=${params} go=${go} dashboard=${dashboard} />` : html`<${Empty} says=${texts.frame.unknown} next=${texts.frame.unknownNext} />`}
    </${Frame}>
    <${Safely} screen=${Presented} place=${`${view} ${params.id ?? ""}`} />
  `;
}

/** A screen that fails takes nothing else with it: the rest of the page goes on, and says so. */
function Safely({ screen: Screen, ...props }) {
  const [error, reset] = useErrorBoundary((thrown) => console.error(thrown));
  if (error) return html`<${Failure} what=${texts.frame.drawing} problem=${{ detail: String(error), remedy: texts.frame.drawingNext }} again=${reset} />`;
  return html`<${Screen} ...${props} />`;
}

/** On another screen the title follows, and the focus goes to its content, as it would on another page. */
function useFocusOnContent(view, id) {
  const first = useRef(true);
  useLayoutEffect(() => {
    document.title = texts.title(id && view === "customer" ? id : (texts.screens[view] ?? texts.frame.unknown));
    if (!first.current) {
      document.getElementById("content").focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    first.current = false;
  }, [view, id]);
}

followLinks();
keepFocus();
countOnce();
render(html`<${App} />`, document.getElementById("app"));
