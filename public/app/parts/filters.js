/** Filters, bound to the address: what is set there is what is shown, and a link carries it. */

import { html, useLayoutEffect, useRef, useState } from "/app/markup.js";
import { go, href } from "/app/router.js";
import { texts } from "/app/texts.js";

const PAUSE = 350; // ms after the last letter

/**
 * @typedef {{name: string, label: string, options?: Record<string, string>, any?: string, hint?: string, period?: boolean, list?: string[]}} Field
 *   `options`: value -> label, a choice (`any`: how none of them is called); `period`: a relative time ("-24h"); otherwise a text
 *
 * @param {{fields: Field[], params: Record<string, string>, legend?: string}} props
 */
export function Filters({ fields, params, legend }) {
  const now = useRef(params);
  now.current = params; // another one may have been set since this one was typed
  const set = (name, value) => go({ ...now.current, [name]: value, sel: undefined }, { replace: !fields.find((field) => field.name === name).options });
  const active = activeOf(fields, params);
  const [cleared, clear] = useState(0); // what is being typed is cleared, too, though no address has it yet
  return html`
    <form class="filters" role="search" aria-label=${legend ?? texts.filters.legend} onSubmit=${(event) => event.preventDefault()}>
      ${fields.map((field) => html`<${Input} key=${`${cleared} ${field.name}`} field=${field} value=${params[field.name] ?? ""} set=${(value) => set(field.name, value)} />`)}
      ${active.length > 0 && html`<a class="clear" href=${href(without(fields, params))} onClick=${() => clear(cleared + 1)}>${texts.filters.clear}</a>`}
    </form>
  `;
}

/** (label, value) of the filters that are set: for `Empty`. */
export function activeOf(fields, params) {
  return fields.filter(({ name }) => params[name]).map((field) => [field.label, choices(field)?.[params[field.name]] ?? params[field.name]]);
}

/** The address without any of these filters. */
export function without(fields, params) {
  return { ...params, ...Object.fromEntries(fields.map(({ name }) => [name, undefined])) };
}

const choices = (field) => field.options ?? (field.period ? texts.filters.periods : null);

function Input({ field, value, set }) {
  const id = `filter-${field.name}`;
  return html`
    <div class=${value ? "filter set" : "filter"}>
      <label for=${id}>${field.label}</label>
      ${choices(field) ? html`<${Choice} id=${id} any=${field.any ?? texts.filters.any} options=${choices(field)} value=${value} set=${set} />` : html`<${Text} id=${id} field=${field} value=${value} set=${set} />`}
    </div>
  `;
}

function Choice({ id, any, options, value, set }) {
  const known = value === "" || value in options;
  return html`
    <select id=${id} value=${value} onChange=${(event) => set(event.target.value)}>
      <option value="" selected=${value === ""}>${any}</option>
      ${!known && html`<option value=${value} selected>${value}</option>`}
      ${Object.entries(options).map(([word, label]) => html`<option key=${word} value=${word} selected=${word === value}>${label}</option>`)}
    </select>
  `;
}

function Text({ id, field, value, set }) {
  const [typed, setTyped] = useState(value);
  const timer = useRef(0);
  useLayoutEffect(() => {
    if (typed.trim() === value) return; // what was typed here, perhaps with a blank at its end
    clearTimeout(timer.current);
    setTyped(value);
  }, [value]);
  useLayoutEffect(() => () => clearTimeout(timer.current), []);
  const type = (event) => {
    const text = event.target.value;
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => set(text.trim()), PAUSE);
  };
  return html`<input id=${id} type="text" value=${typed} placeholder=${field.hint} autocomplete="off" spellcheck=${false} onInput=${type} />`;
}
