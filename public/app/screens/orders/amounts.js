/** Amounts of orders: shown by the exponent that the server sends, and typed as people write them. */

import { minorUnits, money } from "/app/format.js";
import { orders as say } from "/app/texts/orders.js";

/** An amount of something that carries its currency and exponent; nothing where it is unknown. */
export const shown = (amount, of) => money(amount, of.currency, of.exponent);

/** The same, and nothing for zero: in columns where zero is what is usual. */
export const unlessZero = (amount, of) => (amount ? shown(amount, of) : "");

/**
 * A field for a typed amount.
 *
 * @param {{currency: string, exponent: number}} of whose amount it is
 * @param {number|null} most in minor units; null: there is no limit
 */
export function amountField(of, most) {
  const code = of.currency.toUpperCase();
  return {
    name: "amount",
    label: `${say.fields.amount}, ${code}`,
    required: true,
    hint: most === null ? say.fields.amountHint : say.fields.amountMax(shown(most, of)),
    check: (typed) => {
      const amount = minorUnits(typed, of.exponent);
      if (!amount) return say.fields.notAmount(code);
      return most !== null && amount > most ? say.fields.tooMuch(shown(most, of)) : null;
    },
  };
}

/** What was typed, as it is shown; empty while it is none. */
export function typed(values, of) {
  const amount = minorUnits(values.amount ?? "", of.exponent);
  return amount ? shown(amount, of) : "";
}

/** How much of a payment at Stripe can still be refunded. */
export function restOf(payment, refunds) {
  const gone = refunds.filter((one) => one.paymentId === payment.id && !["failed", "canceled"].includes(one.status));
  return payment.state === "succeeded" ? payment.amount - gone.reduce((sum, one) => sum + one.amount, 0) : 0;
}
