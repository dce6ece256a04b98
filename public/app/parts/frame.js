/** What stands around every screen: navigation with counts, search, the switch for times, the lock. */

import { shortCount } from "/app/format.js";
import { html } from "/app/markup.js";
import { Icon } from "/app/parts/icons.js";
import { TimesSwitch } from "/app/parts/time.js";
import { go, href } from "/app/router.js";
import { lock } from "/app/session.js";
import { texts } from "/app/texts.js";

/**
 * @param {{screens: string[], here: string, dashboard: any, help: () => void, children: any}} props
 *   `here`: which of them is open; `dashboard`: null until it was read
 */
export function Frame({ screens, here, dashboard, help, children }) {
  const mode = dashboard?.mode;
  return html`
    <a class="skip" href="#content">${texts.frame.skip}</a>
    <header class="top">
      <a class="brand" href="/"><img src="/icon.svg" alt="" width="22" height="22" /><span>${texts.product}</span></a>
      ${mode && html`<span class=${`mode ${mode}`} title=${texts.frame.modeMeans[mode]}>${texts.frame.modes[mode] ?? mode}</span>`}
      <${Search} />
      <${TimesSwitch} />
      <button type="button" class="quiet" aria-label=${texts.frame.help} title=${texts.frame.help} onClick=${help}>?</button>
      <button type="button" class="quiet" aria-label=${texts.frame.lock} title=${texts.frame.lockHint} onClick=${() => lock()}><${Icon} name="lock" /></button>
    </header>
    <nav aria-label=${texts.frame.navigation}>
      ${screens.map(
        (name) => html`
          <a key=${name} href=${href(name === "overview" ? {} : { view: name })} aria-current=${here === name ? "page" : undefined}>
            <${Icon} name=${name} /><span>${texts.screens[name]}</span>
            ${name === "work" && dashboard?.queue.parked.total > 0 && html`<b class="number" title=${texts.frame.needYou(dashboard.queue.parked.total)}>${shortCount(dashboard.queue.parked.total)}</b>`}
          </a>
        `,
      )}
    </nav>
    <main id="content" tabindex="-1">${children}</main>
  `;
}

/** Where an address begins: by what is typed it is seen which field is meant. */
function Search() {
  const find = (event) => {
    event.preventDefault();
    const typed = event.target.elements.find.value.trim();
    if (typed) go(meant(typed));
    else go({ view: "customers" });
  };
  return html`
    <form class="search" role="search" aria-label=${texts.frame.search} onSubmit=${find}>
      <${Icon} name="search" />
      <input name="find" type="search" aria-label=${texts.frame.search} placeholder=${texts.frame.searchHint} autocomplete="off" spellcheck=${false} />
      <kbd aria-hidden="true">/</kbd>
    </form>
  `;
}

/** Where a search leads: an id is one customer, the rest a list. */
export function meant(typed) {
  if (/^(cus_|bank_transfer:|cash_on_delivery:)/.test(typed)) return { view: "customer", id: typed };
  if (/^(sub_|cs_|in_|[0-9a-f]{8}-[0-9a-f]{4}-)/i.test(typed)) return { view: "customers", identifier: typed };
  if (typed.includes("@")) return { view: "customers", email: typed };
  if (/^[^\s]+\.[^\s]+$/.test(typed)) return { view: "customers", domain: typed };
  return { view: "customers", name: typed };
}
