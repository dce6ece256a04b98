/** The fields of a dialog: what an act needs to know, and what must be typed to confirm it. */

import { html } from "/app/markup.js";
import { texts } from "/app/texts.js";

/**
 * @typedef {{name: string, label: string, type?: string, value?: string, hint?: string, required?: boolean, options?: Record<string, string>, match?: string, check?: (typed: string) => string|null}} Field
 *   `match`: exactly this must be typed; `check`: what is wrong with what was typed, or null
 */

const LAST = "9999-12-31T23:59"; // a year of five digits is a slip, and no date of the API's

/** Every field with its label. @param {{fields: Field[], values: Record<string, string>, set: (name: string, value: string) => void}} props */
export function Fields({ fields, values, set }) {
  return fields.map((field) => {
    const id = `field-${field.name}`;
    const fault = values[field.name] ? faultOf(field, values[field.name]) : null;
    return html`
      <div key=${field.name} class="field">
        <label for=${id}>${field.match ? texts.act.type(field.match) : field.label}</label>
        ${field.options
          ? html`<select id=${id} value=${values[field.name]} onChange=${(event) => set(field.name, event.target.value)}>
              ${Object.entries(field.options).map(([value, label]) => html`<option key=${value} value=${value} selected=${value === values[field.name]}>${label}</option>`)}
            </select>`
          : html`<input id=${id} type=${field.type ?? "text"} max=${field.type === "datetime-local" ? LAST : undefined} value=${values[field.name]} placeholder=${field.hint} required=${field.required} autocomplete="off" spellcheck=${false}
              aria-invalid=${fault ? "true" : undefined} aria-describedby=${fault ? `${id}-fault` : undefined} onInput=${(event) => set(field.name, event.target.value)} />`}
        ${fault && html`<small id=${`${id}-fault`} class="fault">${fault}</small>`}
      </div>
    `;
  });
}

/** What the fields hold at the beginning. */
export const initial = (fields) => Object.fromEntries(fields.map((field) => [field.name, field.value ?? (field.options ? Object.keys(field.options)[0] : "")]));

/** Whether everything is filled in as it must be. */
export const complete = (fields, values) => fields.every((field) => (!field.required || values[field.name]) && (!values[field.name] || !faultOf(field, values[field.name])) && (!field.match || values[field.name] === field.match));

function faultOf(field, typed) {
  if (field.match) return typed === field.match || field.match.startsWith(typed) ? null : texts.act.mismatch;
  return field.check?.(typed) ?? null;
}
