/** An order that is paid by bank transfer or on delivery, written down by hand. */

import { digits } from "/app/currencies.js";
import { minorUnits } from "/app/format.js";
import { html, useRef } from "/app/markup.js";
import { once } from "/app/screens/orders/acts.js";
import { ask } from "/app/api.js";
import { Act } from "/app/parts/act.js";
import { orders as say } from "/app/texts/orders.js";

const { bank_transfer, cash_on_delivery } = say.providers;
const whole = (typed) => (/^[1-9]\d*$/.test(typed) ? null : say.fields.notNumber);

const FIELDS = [
  { name: "provider", label: say.fields.provider, options: { bank_transfer, cash_on_delivery } },
  { name: "billingPlanId", label: say.fields.billingPlanId, hint: say.fields.billingPlanHint, required: true },
  { name: "currency", label: say.fields.currency, value: "EUR", required: true, check: (typed) => (/^[A-Za-z]{3}$/.test(typed) ? null : say.fields.notCurrency) },
  { name: "amount", label: say.fields.amount, hint: say.fields.amountHint, required: true, check: (typed) => (/^\d+(\.\d{1,3})?$/.test(typed.trim()) ? null : say.fields.notAmount("")) },
  { name: "email", label: say.fields.email, type: "email", required: true },
  { name: "name", label: say.fields.name },
  { name: "domain", label: say.fields.domain, hint: "shop.example" },
  { name: "periodDays", label: say.fields.periodDays, value: "30", check: whole },
  { name: "dueDays", label: say.fields.dueDays, check: whole },
  { name: "reference", label: say.fields.reference, hint: say.fields.referenceHint },
];

/** The button and its dialog. @param {{done: (order: object) => void}} props */
export function Create({ done }) {
  const made = useRef(null);
  return html`
    <${Act} label=${say.acts.create} says=${say.acts.createSays} what=${say.acts.createWhat} go=${say.acts.createGo} fields=${FIELDS}
      send=${async (values, signal) => {
        made.current = null;
        return (made.current = await once(bodyOf(values), signal));
      }}
      applied=${(answer) => ({ state: "done", lines: [say.acts.created(answer.order.reference), ...(answer.repeated ? [say.acts.repeated] : [])] })}
      verify=${async (answer, signal) => {
        const order = await ask("/api/admin/orders", { query: { id: answer.order.id }, signal });
        return { state: "done", lines: [say.acts.readBack(say.states[order.state])] };
      }}
      done=${() => made.current && done(made.current.order)} />
  `;
}

function bodyOf(values) {
  const amount = minorUnits(values.amount, digits(values.currency));
  const days = Object.fromEntries(["periodDays", "dueDays"].filter((name) => values[name]).map((name) => [name, Number(values[name])]));
  const texts = Object.fromEntries(["name", "domain", "reference"].filter((name) => values[name]).map((name) => [name, values[name]]));
  return { action: "create", provider: values.provider, billingPlanId: values.billingPlanId, currency: values.currency.toLowerCase(), email: values.email, amount, ...days, ...texts };
}
