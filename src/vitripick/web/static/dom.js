// @ts-check
// Small helpers around the document. Text from outside only ever becomes text, never markup.

/**
 * The element with this id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function el(id, kind) {
  const found = document.getElementById(id);
  if (!found || (kind && !(found instanceof kind))) throw new Error(`the page has no ${id}`);
  return /** @type {T} */ (found);
}

/** @param {string} id */
export const button = (id) => el(id, HTMLButtonElement);
/** @param {string} id */
export const input = (id) => el(id, HTMLInputElement);
/** @param {string} id */
export const select = (id) => el(id, HTMLSelectElement);
/** @param {string} id */
export const canvas = (id) => el(id, HTMLCanvasElement);

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

/**
 * Fill a select, keeping its choice where that is still there.
 * @param {HTMLSelectElement} node
 * @param {{value: string, text: string}[]} options
 * @param {string | null} [chosen]
 */
export function fill(node, options, chosen) {
  const before = chosen ?? node.value;
  const now = [...node.options].map((o) => `${o.value}\n${o.text}`).join("\n\n");
  if (now !== options.map((o) => `${o.value}\n${o.text}`).join("\n\n")) {
    node.replaceChildren(...options.map((o) => make("option", { value: o.value, textContent: o.text })));
  }
  if (options.some((o) => o.value === before)) node.value = before;
}

/**
 * @param {HTMLElement} node
 * @param {boolean} pressed
 */
export const press = (node, pressed) => node.setAttribute("aria-pressed", String(pressed));

/**
 * A short message that goes by itself.
 * @param {string} text
 * @param {"bad" | ""} [kind]
 */
export function toast(text, kind = "") {
  const node = make("div", { className: `toast ${kind}`, textContent: text });
  el("toasts").append(node);
  setTimeout(() => node.remove(), kind ? 9000 : 3500);
}

/**
 * Wait until calls stop coming.
 * @template {any[]} A
 * @param {(...values: A) => void} call
 * @param {number} milliseconds
 * @returns {(...values: A) => void}
 */
export function settled(call, milliseconds) {
  /** @type {number | undefined} */
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

/**
 * At most one call a frame, with the newest values.
 * @template {any[]} A
 * @param {(...values: A) => void} call
 * @returns {(...values: A) => void}
 */
export function framed(call) {
  /** @type {A | null} */
  let waiting = null;
  return (...values) => {
    if (!waiting) {
      requestAnimationFrame(() => {
        const latest = /** @type {A} */ (waiting);
        waiting = null;
        call(...latest);
      });
    }
    waiting = values;
  };
}

const format = new Intl.NumberFormat("en");
/** @param {number} n */
export const thousands = (n) => format.format(n);

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const count = (n, one, many = `${one}s`) => `${thousands(n)} ${n === 1 ? one : many}`;
