// @ts-check
// The list of micrographs: twenty thousand of them scroll like twenty, because only what is seen is there.
import { el, input, make, select, thousands } from "./dom.js";
import { doubtOf, histograms, picksAbove } from "./picks.js";
import { store, watch } from "./store.js";

/** @typedef {import("./types.js").Row} Row */

const ROW_PX = 30;
const scroller = el("list-scroll"), space = el("list-space");
/** @type {Row[]} */
let shown = [];
/** @type {HTMLElement[]} */
const pool = [];
/** @type {string | null} */
let currentId = null;
/** @type {(id: string) => void} */
let open = () => {};
let scheduled = false;

/** @param {Row} row @returns {[string, string, string]} class, sign, meaning */
function stateOf(row) {
  if (row.error) return ["failed", "!", "cannot be read"];
  if (row.flag === "excluded") return ["excluded", "⊘", "excluded"];
  if (row.flag === "empty") return ["complete", "∅", "empty"];
  if (row.flag === "complete") return ["complete", "✓", "fully labelled"];
  if (row.labels) return ["labelled", "◧", "labelled"];
  return row.seen ? ["seen", "·", "seen"] : ["unseen", "○", "unseen"];
}

/** @param {Row} row @returns {number | null} */
export const nPicks = (row) => picksAbove(row.id);

/** @param {Row} row @param {string} filter */
function passes(row, filter) {
  switch (filter) {
    case "all": return true;
    case "labelled": return row.labels > 0;
    case "complete": return row.flag === "complete";
    case "empty": return row.flag === "empty";
    case "excluded": return row.flag === "excluded";
    case "failed": return Boolean(row.error);
    case "picked": return (nPicks(row) ?? 0) > 0;
    case "unseen": return !row.seen && !row.labels && !row.flag;
    default: return true;
  }
}

/** How much all names have in common at their beginning and at their end. */
const shared = { start: 0, end: 0, rows: /** @type {Row[]} */ ([]) };
/** Shorter common parts stay, so that a name looks like itself. */
const LONG = 12, LONG_ENDING = 8;

/** Look again at what all names share. */
function compareNames() {
  if (shared.rows === store.rows) return;
  const names = store.rows.map((row) => row.name);
  const [first = ""] = names;
  let start = first.length, end = first.length;
  for (const name of names) {
    let n = 0;
    while (n < start && name[n] === first[n]) n += 1;
    start = n;
    n = 0;
    while (n < end && name[name.length - 1 - n] === first[first.length - 1 - n]) n += 1;
    end = n;
  }
  if (names.length < 2) start = end = 0;
  Object.assign(shared, { start, end, rows: store.rows });
}

/** A name without the long parts that it shares with all others; its title has the whole. @param {string} name */
function short(name) {
  const from = shared.start > LONG ? shared.start - 3 : 0;
  // The kind of file stays where it is all that they share.
  const to = shared.end > LONG_ENDING ? name.length - shared.end + 3 : name.length;
  return `${from ? "…" : ""}${name.slice(from, Math.max(to, from + 1))}${to < name.length ? "…" : ""}`;
}

/** Which rows, in which order. */
function arrange() {
  compareNames();
  const filter = select("list-filter").value, sort = select("list-sort").value;
  const words = input("list-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = store.rows.filter((row) => passes(row, filter) && words.every((word) => row.name.toLowerCase().includes(word)));
  /** @type {((row: Row) => number) | null} */
  const rank = sort === "doubt" ? (row) => (row.flag || row.labels ? -2 : doubtOf(row.id))
    : sort === "picks" ? (row) => nPicks(row) ?? -1
      : sort === "fewest" ? (row) => -(nPicks(row) ?? Infinity)
        : sort === "labels" ? (row) => row.labels : null;
  if (rank) {
    const ranks = new Map(shown.map((row) => [row, rank(row)]));
    shown.sort((a, b) => /** @type {number} */ (ranks.get(b)) - /** @type {number} */ (ranks.get(a)));
  }
  space.style.height = `${shown.length * ROW_PX}px`;
  counts();
  render();
}

function counts() {
  const n = store.rows.length;
  let labels = 0, labelled = 0, seen = 0;
  for (const row of store.rows) {
    labels += row.labels;
    if (row.labels || row.flag === "empty") labelled += 1;
    if (row.seen) seen += 1;
  }
  const of = shown.length === n ? "" : `${thousands(shown.length)} of `;
  el("list-counts").textContent = `${of}${thousands(n)} · ${seen} seen · ${labelled} labelled · ${thousands(labels)} labels`;
}

function render() {
  scheduled = false;
  const top = scroller.scrollTop, height = scroller.clientHeight;
  const first = Math.max(0, Math.floor(top / ROW_PX) - 4);
  const n = Math.min(shown.length - first, Math.ceil(height / ROW_PX) + 8);
  while (pool.length < n) pool.push(newRow());
  pool.forEach((node, i) => {
    const row = i < n ? shown[first + i] : undefined;
    node.hidden = !row;
    if (row) fillRow(node, row, first + i);
  });
  scroller.setAttribute("aria-activedescendant", currentId ? `row-${currentId}` : "");
}

function newRow() {
  const node = make("div", { className: "list-row" },
    make("span", { className: "state" }), make("span", { className: "name" }),
    make("span", { className: "count labels" }), make("span", { className: "count picks" }));
  node.setAttribute("role", "option");
  node.addEventListener("click", (event) => {
    const { id } = node.dataset;
    if (!id) return;
    if (!store.readOnly && (event.ctrlKey || event.metaKey || event.shiftKey)) mark(id, event.shiftKey);
    else open(id);
  });
  scroller.append(node);
  return node;
}

/** @param {HTMLElement} node @param {Row} row @param {number} position */
function fillRow(node, row, position) {
  const [kind, sign, meaning] = stateOf(row);
  const picks = nPicks(row);
  node.style.transform = `translateY(${position * ROW_PX}px)`;
  const key = `${row.id}/${kind}/${row.labels}/${picks}/${row.id === currentId}/${marked.has(row.id)}/${position}`;
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.dataset.id = row.id;
  node.id = `row-${row.id}`;
  node.className = `list-row ${kind}${marked.has(row.id) ? " marked" : ""}`;
  node.title = row.error || row.name;
  node.setAttribute("aria-selected", String(row.id === currentId));
  node.setAttribute("aria-posinset", String(position + 1));
  node.setAttribute("aria-setsize", String(shown.length));
  const [state, name, labels, count] = /** @type {HTMLElement[]} */ ([...node.children]);
  state.className = `state ${kind}`;
  state.textContent = sign;
  state.setAttribute("aria-label", meaning);
  // The mark keeps punctuation in place where a name is cut at the left.
  name.textContent = `\u200e${short(row.name)}\u200e`;
  labels.textContent = row.labels ? String(row.labels) : "";
  count.textContent = picks === null ? "" : String(picks);
}

/** @param {string} id */
export function setCurrent(id) {
  currentId = id;
  const position = shown.findIndex((row) => row.id === id);
  if (position >= 0) {
    const top = position * ROW_PX, bottom = top + ROW_PX;
    if (top < scroller.scrollTop) scroller.scrollTop = top - ROW_PX;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom + ROW_PX - scroller.clientHeight;
  }
  render();
}

/** The id that many rows away from the current one, in the list's order. @param {number} step @returns {string | null} */
export function neighbour(step) {
  const position = shown.findIndex((row) => row.id === currentId);
  const next = shown[position < 0 ? 0 : position + step];
  return next?.id ?? null;
}

/** Show the least sure micrographs first. @param {string} sort */
export function sortBy(sort) {
  select("list-sort").value = sort;
  arrange();
  scroller.scrollTop = 0;
}

/** @param {(id: string) => void} opener */
export function startList(opener) {
  open = opener;
  scroller.addEventListener("scroll", () => {
    if (!scheduled) requestAnimationFrame(render);
    scheduled = true;
  }, { passive: true });
  new ResizeObserver(render).observe(scroller);
  input("list-search").addEventListener("input", arrange);
  for (const id of ["list-filter", "list-sort"]) select(id).addEventListener("change", () => {
    arrange();
    scroller.scrollTop = 0;
  });
  scroller.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(scroller.clientHeight / ROW_PX) - 1);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const far = event.key === "Home" ? -Infinity : event.key === "End" ? Infinity : steps[event.key];
    if (event.key === "Escape" && marked.size) return markNone();
    if (event.key === " " && currentId && !store.readOnly) {
      event.preventDefault();
      return mark(currentId, false);
    }
    if (event.key === "Enter" && currentId) open(currentId);
    if (!far) return;
    event.preventDefault();
    // The key is used up: outside the list it may mean a label.
    event.stopPropagation();
    const id = Number.isFinite(far) ? neighbour(far) : (far < 0 ? shown[0] : shown[shown.length - 1])?.id;
    if (!id) return;
    if (event.shiftKey && !store.readOnly) mark(id, true);
    open(id);
  });
  let arranged = "", rows = store.rows;
  watch(["rows", "histograms", "settings"], () => {
    // An edit must not make rows jump about under the pointer: the order is made again when its reasons change.
    const key = `${store.settings.pick_set}/${select("list-sort").value === "name" ? "" : store.settings.threshold}/${Object.keys(histograms.all).length}/${histograms.threshold}`;
    if (rows !== store.rows || (key !== arranged && select("list-sort").value !== "name")) arrange();
    arranged = key;
    rows = store.rows;
    if (!scheduled) requestAnimationFrame(render);
    scheduled = true;
  });
  watch("rows", counts);
  arrange();
}

/** Open the first one of the list as it is sorted now. */
export function openFirst() {
  const [row] = shown;
  if (row) open(row.id);
}

/** The rows that are chosen together, by id. @type {Set<string>} */
export const marked = new Set();
/** @type {() => void} */
let onMarked = () => {};
/** @param {() => void} listener */
export const whenMarked = (listener) => (onMarked = listener);

/** Choose rows with Ctrl, and all up to one with Shift. @param {string} id @param {boolean} upTo */
function mark(id, upTo) {
  const start = shown.findIndex((row) => row.id === (currentId ?? id)), end = shown.findIndex((row) => row.id === id);
  if (upTo && start >= 0) for (const row of shown.slice(Math.min(start, end), Math.max(start, end) + 1)) marked.add(row.id);
  else if (!marked.delete(id)) marked.add(id);
  onMarked();
  render();
}

export function markNone() {
  marked.clear();
  onMarked();
  render();
}

export const firstId = () => (shown.find((row) => !row.seen && !row.error) ?? shown[0])?.id ?? null;
