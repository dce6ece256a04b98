/** One order with everything that is known of it. */

import { words } from "/app/format.js";
import { html } from "/app/markup.js";
import { Acts } from "/app/screens/orders/acts.js";
import { shown, unlessZero } from "/app/screens/orders/amounts.js";
import { Disputes } from "/app/screens/orders/disputes.js";
import { Invoice, Why } from "/app/screens/orders/notlive.js";
import { Payments } from "/app/screens/orders/payments.js";
import { JsonBeside } from "/app/parts/beside.js";
import { useData } from "/app/parts/data.js";
import { Id } from "/app/parts/id.js";
import { Failure, Loading } from "/app/parts/notice.js";
import { Pick } from "/app/parts/pick.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge, CustomerLink } from "/app/parts/words.js";
import { href } from "/app/router.js";
import { texts } from "/app/texts.js";
import { orders as say } from "/app/texts/orders.js";

/** @param {{params: Record<string, string>, links: object|undefined}} props `params`: `id` is the order, `sel` what of it stands beside as JSON */
export function Details({ params, links }) {
  const { id } = params;
  const found = useData("/api/admin/orders", { id });
  const order = found.data;
  const chosen = order && partOf(order, params.sel);
  return html`
    <p><a href=${href({ view: "orders" })}>← ${say.back}</a></p>
    ${found.problem && html`<${Failure} what=${say.readingOne} problem=${found.problem} again=${found.reload} />`}
    ${found.loading && html`<${Loading} />`}
    ${order && html`
      <div class="head">
        <h1>${say.orderTitle(order.email ?? order.customerEmail ?? order.name ?? order.customerId ?? say.nobody)} <${State} order=${order} /></h1>
        <span class="row"><${Acts} order=${order} reload=${found.reload} /> <${Pick} id=${order.id} params=${params} label=${texts.json.of(say.ids.thisOrder)}>${texts.json.show}<//></span>
      </div>
      <div class=${chosen ? "split spaced" : ""}>
      <div class="stack">
        ${order.notLive && html`<${NotLive} order=${order} links=${links} />`}
        <div class="two">
          <section class="card"><header><h2>${say.facts.title}</h2></header><div class="body"><${Facts} order=${order} links=${links} /></div></section>
          <section class="card"><header><h2>${say.money.title}</h2></header><div class="body"><${Money} order=${order} /></div></section>
        </div>
        <${Disputes} disputes=${order.disputes} params=${params} />
        <${Payments} payments=${order.payments} links=${links} params=${params} />
        ${LISTS.map(({ of, caption, columns, id }) => order[of].length > 0 && html`
          <section key=${of} class="card"><${Table} caption=${caption} columns=${of === "refunds" ? [...columns, jsonOf(params)] : columns} rows=${order[of]} id=${id} sortable=${false} selected=${params.sel} /></section>`)}
      </div>
      ${chosen && html`<${JsonBeside} key=${params.sel} title=${chosen.title} what=${chosen.title} id=${params.sel} params=${params} of=${{ data: chosen.value }} />`}
      </div>`}
  `;
}

/** What of an order has this id: itself, or one of its payments, refunds or disputes. */
function partOf(order, id) {
  if (!id) return null;
  if (id === order.id) return { title: say.facts.id, value: order };
  const parts = [[say.payments.one, order.payments], [say.refunds.id, order.refunds], [say.disputes.id, order.disputes]];
  return parts.map(([title, rows]) => ({ title, value: rows.find((one) => one.id === id) })).find(({ value }) => value);
}

const jsonOf = (params) => ({ key: "json", label: texts.json.show, cell: (one) => html`<${Pick} id=${one.id} params=${params} label=${texts.json.of(one.id)}>${texts.json.show}<//>` });

/** Why nothing runs for it, though it was paid. */
function NotLive({ order, links }) {
  return html`
    <div class="notice bad">
      <p><strong>${say.notLive.title}</strong> <${Time} at=${order.notLive.since} />: <${Invoice} order=${order} links=${links} /></p>
      <${Why} found=${order.notLive} />
    </div>
  `;
}

/** The state of an order and what else must be known beside it. */
export function State({ order }) {
  const notLive = order.state === "paid" && order.mode === "subscription" && !order.servedAt;
  return html`
    <${Badge} word=${order.state} label=${say.states[order.state]} tone=${{ expired: "off", failed: "bad", refunded: "off" }[order.state]} />
    ${order.disputed && html` <${Badge} word="disputed" label=${say.flags.disputed} />`}
    ${notLive && html` <${Badge} word="notLive" label=${say.flags.notLive} tone="warn" />`}
    ${order.overpaid > 0 && html` <${Badge} word="overpaid" label=${say.flags.overpaid} tone="warn" />`}
    ${order.refunded > 0 && order.state !== "refunded" && html` <${Badge} word="part" label=${say.flags.part} tone="warn" />`}
    ${order.cancelled && html` <${Badge} word="cancelled" label=${say.flags.cancelled} tone="off" />`}
  `;
}

function Facts({ order, links }) {
  const said = say.facts;
  const subscription = order.subscriptionId && html`<${Id} value=${order.subscriptionId} what="subscription" url=${links && order.provider === "stripe" ? `${links.stripe}/subscriptions/${order.subscriptionId}` : undefined} at="Stripe" />`;
  const facts = [
    [said.id, html`<${Id} value=${order.id} what="order" />`],
    [said.customer, order.customerId && html`<${CustomerLink} id=${order.customerId} />`],
    [said.subscription, subscription],
    [said.provider, say.providers[order.provider]],
    [said.origin, say.origins[order.origin]],
    [said.plan, order.billingPlanId && html`<a href=${href({ view: "plans", price: order.billingPlanId })}>${say.quantity(order.quantity, order.billingPlanId)}</a>`],
    [said.domain, order.domain],
    [said.reference, order.reference && html`<${Id} value=${order.reference} what="reference" />`],
    [said.clientReference, order.clientReference],
    [said.seller, order.sellerId],
    [said.sellerNet, order.sellerId && shown(order.sellerNet, order)],
    [said.sellerDue, order.sellerDue !== null && order.sellerDue !== order.sellerNet && shown(order.sellerDue, order)],
    [said.escrow, order.escrow && words(order.escrow)],
    [said.released, order.released !== null && shown(order.released, order)],
    [said.toClaimBack, order.toClaimBack > 0 && shown(order.toClaimBack, order)],
    [said.releasable, order.releasableAt && html`<${Time} at=${order.releasableAt} />`],
    [said.begun, html`<${Time} at=${order.createdAt} />`],
    [said.due, order.dueAt && html`<${Time} at=${order.dueAt} />`],
    [said.paid, order.paidAt && html`<${Time} at=${order.paidAt} />`],
    [said.live, order.servedAt && html`<${Time} at=${order.servedAt} />`],
    [said.period, order.periodStart && html`<${Time} at=${order.periodStart} /> – <${Time} at=${order.periodEnd} />`],
    [said.ended, order.endedAt && html`<${Time} at=${order.endedAt} />`],
    [said.pay, order.hostedInvoiceUrl && html`<a href=${order.hostedInvoiceUrl} target="_blank" rel="noopener noreferrer">${order.hostedInvoiceUrl}</a>`],
  ];
  return html`<${List} facts=${facts} />`;
}

function Money({ order }) {
  const said = say.money;
  const facts = [
    [said.amount, order.currency && shown(order.total ?? order.amount, order)],
    [said.collected, unlessZero(order.collected, order)],
    [said.missing, unlessZero(order.missing, order)],
    [said.overpaid, unlessZero(order.overpaid, order)],
    [said.returned, unlessZero(order.returned, order)],
    [said.refunded, unlessZero(order.refunded, order)],
    ...order.fees.map((fee) => [say.fees.kinds[fee.kind] ?? words(fee.kind), html`${shown(fee.amount, order)} <span class="soft">${say.fees.rule(fee)}</span>`]),
  ];
  return html`<${List} facts=${facts} />`;
}

const List = ({ facts }) => html`<dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;

const time = (label, of) => ({ key: "at", label, cell: (one) => html`<${Time} at=${one[of]} />` });

const LISTS = [
  {
    of: "refunds", caption: say.refunds.caption, id: (one) => one.id,
    columns: [
      { key: "id", label: say.refunds.id, main: true, cell: (one) => html`<code>${one.id}</code>` },
      { key: "amount", label: say.refunds.amount, number: true, cell: (one) => shown(one.amount, one) },
      { key: "state", label: say.refunds.state, cell: (one) => html`<${Badge} word=${one.status} /> ${one.failure ?? ""}` },
      time(say.refunds.at, "createdAt"),
      { key: "actor", label: say.refunds.actor, cell: (one) => one.actor ?? say.refunds.atStripe },
      { key: "reason", label: say.refunds.reason, cell: (one) => one.reason },
    ],
  },
  {
    of: "collections", caption: say.collections.caption, id: (one) => `${one.collectedAt} ${one.externalId}`,
    columns: [
      time(say.collections.at, "collectedAt"),
      { key: "amount", label: say.collections.amount, number: true, main: true, cell: (one) => shown(one.amount, one) },
      { key: "actor", label: say.collections.actor, cell: (one) => one.actor },
      { key: "externalId", label: say.collections.externalId, cell: (one) => one.externalId },
    ],
  },
  {
    of: "line", caption: say.line.caption, id: (one) => one.id,
    columns: [
      { key: "id", label: say.line.id, main: true, cell: (one) => html`<a href=${href({ view: "orders", id: one.id })}>${one.id}</a>` },
      { key: "state", label: say.line.state, cell: (one) => html`<${Badge} word=${one.state} />` },
      { key: "due", label: say.line.due, cell: (one) => html`<${Time} at=${one.dueAt} />` },
      { key: "period", label: say.line.period, cell: (one) => one.periodStart && html`<${Time} at=${one.periodStart} /> – <${Time} at=${one.periodEnd} />` },
    ],
  },
  {
    of: "steps", caption: say.steps.caption, id: (one) => `${one.at} ${one.kind} ${one.state} ${one.subject}`,
    columns: [
      { key: "what", label: say.steps.what, main: true, cell: (one) => `${words(one.kind)} ${words(one.state)}` },
      { key: "change", label: say.steps.change, cell: (one) => one.toState && `${one.fromState ?? ""} → ${one.toState}` },
      time(say.steps.at, "at"),
      { key: "cause", label: say.steps.cause, cell: (one) => one.cause },
      { key: "error", label: say.steps.error, cell: (one) => one.error },
    ],
  },
];
