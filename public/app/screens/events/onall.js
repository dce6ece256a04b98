/** One act on all events that match: counted first, with the number in the button, then done to exactly these. */

import { html } from "/app/markup.js";
import { Bulk } from "/app/parts/bulk.js";
import { events as say } from "/app/texts/events.js";

const said = say.all;

/**
 * @param {{act: "replay"|"resend"|"skip", filter: object, named: [string, string][], endpoint?: string, none: boolean, done: () => void}} props
 *   `named`: the filters that are set, as people read them
 */
export function OnAll({ act, filter, named, endpoint, none, done }) {
  const about = named.length ? named.map(([label, value]) => `${label} ${value}`).join(", ") : said.everything;
  return html`
    <${Bulk} label=${said[act]} title=${said.titles[act]} says=${`${said.says[act]} ${said.filter}: ${about}.`} what=${said.titles[act]} route="/api/admin/events"
      disabled=${none} body=${() => ({ action: act, filter, ...(endpoint ? { endpoint } : {}) })} go=${said.buttons[act]} done=${done} />
  `;
}
