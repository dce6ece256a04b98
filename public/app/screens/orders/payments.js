/** The payments of an order, with every number of them and where it came from. */

import { money } from "/app/format.js";
import { html } from "/app/markup.js";
import { shown } from "/app/screens/orders/amounts.js";
import { Id } from "/app/parts/id.js";
import { Empty } from "/app/parts/notice.js";
import { Pick } from "/app/parts/pick.js";
import { Table } from "/app/parts/table.js";
import { Time } from "/app/parts/time.js";
import { Badge } from "/app/parts/words.js";
import { texts } from "/app/texts.js";
import { orders as say } from "/app/texts/orders.js";

const said = say.payments;
const IN_BALANCE = ["gross", "providerFee", "net"]; // these are in the currency of the balance, the others in the payment's

/** @param {{payments: object[], links: {stripe: string}|undefined}} props */
export function Payments({ payments, links, params }) {
  return html`
    <section class="card">
      <header><h2>${said.caption}</h2></header>
      ${payments.length === 0
        ? html`<${Empty} says=${said.none} />`
        : payments.map((one) => html`<div key=${one.id} class="body"><${Payment} one=${one} links=${links} params=${params} /></div>`)}
    </section>
  `;
}

function Payment({ one, links, params }) {
  const id = one.paymentIntentId ?? one.invoiceId ?? one.id;
  const url = links && one.paymentIntentId ? `${links.stripe}/payments/${one.paymentIntentId}` : undefined;
  return html`
    <h3>${said.attempt(one.attempt)}: ${shown(one.amount, one)} <${Badge} word=${one.state} /></h3>
    <p class="row"><${Id} value=${id} what="payment" url=${url} at="Stripe" /> <${Time} at=${one.paidAt ?? one.createdAt} /> <${Pick} id=${one.id} params=${params} label=${texts.json.of(said.attempt(one.attempt))}>${texts.json.show}<//></p>
    ${one.failureCode && html`<p class="notice bad">${said.failed(one.failureCode, one.failureMessage)}</p>`}
    ${one.numbers ? html`<${Numbers} numbers=${one.numbers} />` : one.state === "succeeded" && html`<p class="soft">${said.notSettled}</p>`}
  `;
}

function Numbers({ numbers }) {
  const rows = Object.entries(said.names)
    .map(([name, label]) => ({ name, label, value: valueOf(name, numbers), source: numbers.sources[name] }))
    .filter(({ value }) => value);
  const columns = [
    { key: "number", label: said.number, main: true, cell: (row) => row.label },
    { key: "value", label: said.value, number: true, cell: (row) => row.value },
    { key: "source", label: said.source, cell: (row) => said.sources[row.source] ?? row.source ?? "" },
  ];
  return html`<${Table} caption=${said.numbers} columns=${columns} rows=${rows} id=${(row) => row.name} sortable=${false} />`;
}

function valueOf(name, numbers) {
  if (numbers[name] === null || numbers[name] === undefined) return "";
  if (name === "exchangeRate") return numbers.exchangeRate;
  if (name === "presentmentAmount") return money(numbers[name], numbers.presentmentCurrency, numbers.presentmentExponent);
  if (IN_BALANCE.includes(name)) return money(numbers[name], numbers.balanceCurrency, numbers.balanceExponent);
  return money(numbers[name], numbers.currency, numbers.exponent);
}
