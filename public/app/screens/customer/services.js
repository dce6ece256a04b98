/** Each service as it is remembered: state, what holds it and why, and its next date. */

import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Id } from "/app/parts/id.js";
import { Empty } from "/app/parts/notice.js";
import { Time } from "/app/parts/time.js";
import { Badge, Holds } from "/app/parts/words.js";
import { Undo } from "/app/screens/customer/undo.js";
import { texts } from "/app/texts.js";

const said = texts.customers.one.services;

/** @param {{customer: any, links?: {stripe: string}, reload: () => void}} props */
export function Services({ customer, links, reload }) {
  const { services } = customer;
  return html`
    <section class="card">
      <header><h2>${said.title}</h2></header>
      ${services.length ? html`<div class="services">${services.map((service) => html`<${Service} key=${service.service} service=${service} customer=${customer} links=${links} reload=${reload} />`)}</div>` : html`<${Empty} says=${said.none} next=${said.noneNext} />`}
    </section>
  `;
}

function Service({ service, customer, links, reload }) {
  const url = links?.stripe && service.subscriptionId.startsWith("sub_") ? `${links.stripe}/subscriptions/${service.subscriptionId}` : null;
  return html`
    <article class="service">
      <h3>${service.domain ?? service.plan ?? service.service} <${Badge} word=${service.state} /> <${Holds} holds=${service.holds} /></h3>
      <dl class="facts">
        <dt>${texts.customers.one.subscription}</dt><dd><${Id} value=${service.service} what=${texts.customers.one.subscription} url=${url} at=${texts.customers.one.atStripe} /></dd>
        <dt>${said.plan}</dt><dd>${service.plan ?? service.panelPlanId} <span class="soft">${service.priceId}</span></dd>
        <${Off} service=${service} customer=${customer} reload=${reload} />
        <${NextDate} service=${service} />
        ${service.waitsFor && html`<dt>${said.waits}</dt><dd>${words(service.waitsFor)}</dd>`}
        ${service.endedAt && html`<dt>${said.ended}</dt><dd><${Time} at=${service.endedAt} /></dd>`}
      </dl>
      ${service.panelSuspended && html`<p class="notice warn">${said.panelSuspended}</p>`}
      ${service.adopted && html`<p class="soft">${said.adopted}</p>`}
    </article>
  `;
}

/** Why it is off, since when and by whom, and what makes it run again: as far as the loaded part of the timeline tells. */
function Off({ service, customer, reload }) {
  if (service.state === "terminated" || !service.holds.length) return null;
  const done = customer.timeline.data.filter((entry) => entry.source === "action");
  const since = service.state === "suspended" && done.find((entry) => entry.kind === "suspend" && entry.service === service.service && entry.state !== "failed");
  const held = done.find((entry) => entry.kind === "hold" && entry.undo?.body.services.includes(service.service));
  return html`
    <dt>${said.off}</dt>
    <dd>
      ${since && html`<div>${said.offSince} <${Time} at=${since.at} /></div>`}
      ${service.holds.map((hold) => html`<div key=${hold}><strong>${texts.holds[hold] ?? words(hold)}</strong> ${hold === "admin" && held && html`<span>${said.heldBy(held.actor, held.facts.reason)} <${Time} at=${held.at} /></span>`} <span class="soft">${said.why[hold]}</span> ${hold === "admin" && held && html`<${Undo} undo=${held.undo} label=${said.undoHold} quiet=${false} customer=${customer} done=${reload} />`}</div>`)}
    </dd>
  `;
}

function NextDate({ service }) {
  if (service.state === "terminated") return null;
  const dates = [
    [said.suspendsAt, service.state === "live" && (service.graceOverride ?? service.graceUntil)],
    [said.endsAt, service.endsAt],
    [said.deletesAt, service.retainUntil],
  ].filter(([, at]) => at);
  if (!dates.length) return null;
  return html`<dt>${said.next}</dt><dd>${dates.map(([what, at]) => html`<div key=${what}>${what} <${Time} at=${at} /></div>`)}${service.amnesty && html`<div class="soft">${said.amnesty}</div>`}</dd>`;
}
