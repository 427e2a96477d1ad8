// @ts-check
// Every key, in one table: it acts by it, and "?" shows it.
import { el, make } from "./dom.js";
import { flush, setFlag } from "./labels.js";
import { oneToOne, stepBox, toggleAuto, toggleDenoised, toggleInvert } from "./label_panel.js";
import { accept, nextDoubtful } from "./picks_panel.js";
import { changed, setSettings, setView, store } from "./store.js";
import { toggleFold } from "./fold.js";
import { redo, undo } from "./session_undo.js";
import { cutByKey, insertByKey, joinByKey, nextVertex, ofFilaments } from "./line_tools.js";
import { addByKey, deleteTarget, deselect, nextLabel, nudge, pointerPlace, setTool, toolKey } from "./tools.js";
import { viewport } from "./viewer.js";

/** @typedef {{keys: string[], shown: string, does: string, act?: () => unknown}} Key */

/** @param {string} key @returns {() => void} */
const toggle = (key) => () => setView({ [key]: store.settings.view[key] === false });
/** @param {number} by */
const threshold = (by) => () => setSettings({ threshold: Math.round(Math.min(1, Math.max(0, store.settings.threshold + by)) * 1000) / 1000 });
/** Move the label that has the ring, else the micrograph. @param {number} dx @param {number} dy */
const arrow = (dx, dy) => () => {
  if (nudge(dx, dy)) return;
  viewport.pan(-80 * Math.sign(dx), -80 * Math.sign(dy));
  changed("view");
};
/** @param {number} factor */
const zoom = (factor) => () => (viewport.zoom(factor), changed("view"));

/** @type {Record<string, Key[]>} */
export const KEYS = {
  Labels: [
    { keys: [], shown: "click", does: "add a label; on a pick: accept it" },
    { keys: [], shown: "drag a label", does: "move it" },
    { keys: [], shown: "right-click, Alt-click", does: "delete a label, reject a pick" },
    { keys: ["Delete", "Backspace"], shown: "Del", does: "the same for what the pointer is on", act: deleteTarget },
    { keys: [], shown: "Shift + drag", does: "erase with a brush" },
    { keys: ["ctrl+z"], shown: "Ctrl+Z", does: "undo what was done last, wherever that was", act: undo },
    { keys: ["ctrl+shift+z", "ctrl+y"], shown: "Ctrl+Shift+Z", does: "redo", act: redo },
    { keys: ["k", "Insert"], shown: "K, Ins", does: "add a label at the pointer, or in the middle", act: addByKey },
    { keys: ["PageDown"], shown: "PgDn, PgUp", does: "next and previous label", act: () => nextLabel(1) },
    { keys: ["PageUp"], shown: "", does: "", act: () => nextLabel(-1) },
    { keys: [], shown: "← ↑ → ↓", does: "move the label with the ring by 1 px, with Shift by 10 px" },
    { keys: ["["], shown: "[", does: "smaller box", act: () => stepBox(-1) },
    { keys: ["]"], shown: "]", does: "larger box", act: () => stepBox(1) },
    { keys: ["a"], shown: "A", does: "draw an area to ignore", act: () => setTool("area") },
    { keys: ["l", "Escape"], shown: "L, Esc", does: "back to labels; no label has the ring", act: () => (setTool("label"), deselect()) },
  ],
  Micrograph: [
    { keys: ["n"], shown: "N", does: "next", act: () => el("next").click() },
    { keys: ["p"], shown: "P", does: "previous", act: () => el("previous").click() },
    { keys: ["f"], shown: "F", does: "fully labelled", act: () => setFlag("complete") },
    { keys: ["e"], shown: "E", does: "empty: a negative example", act: () => setFlag("empty") },
    { keys: ["x"], shown: "X", does: "exclude", act: () => setFlag("excluded") },
    { keys: ["ctrl+s"], shown: "Ctrl+S", does: "nothing to do: everything is saved at once", act: flush },
  ],
  View: [
    { keys: [], shown: "wheel", does: "zoom at the pointer" },
    { keys: [], shown: "drag, Space + drag", does: "move the micrograph" },
    { keys: ["ArrowLeft"], shown: "← ↑ → ↓", does: "move the micrograph", act: arrow(-1, 0) },
    { keys: ["ArrowRight"], shown: "", does: "", act: arrow(1, 0) },
    { keys: ["ArrowUp"], shown: "", does: "", act: arrow(0, -1) },
    { keys: ["ArrowDown"], shown: "", does: "", act: arrow(0, 1) },
    { keys: ["shift+ArrowLeft"], shown: "", does: "", act: arrow(-10, 0) },
    { keys: ["shift+ArrowRight"], shown: "", does: "", act: arrow(10, 0) },
    { keys: ["shift+ArrowUp"], shown: "", does: "", act: arrow(0, -10) },
    { keys: ["shift+ArrowDown"], shown: "", does: "", act: arrow(0, 10) },
    { keys: [], shown: "two fingers", does: "zoom and move; a long press deletes or rejects" },
    { keys: ["b"], shown: "B", does: "fold or unfold both panels", act: () => toggleFold() },
    { keys: ["+", "="], shown: "+", does: "zoom in", act: zoom(1.25) },
    { keys: ["-"], shown: "−", does: "zoom out", act: zoom(0.8) },
    { keys: ["0"], shown: "0", does: "fit", act: () => (viewport.fit(), changed("view")) },
    { keys: ["1"], shown: "1", does: "1:1", act: oneToOne },
    { keys: ["c"], shown: "C", does: "contrast by percentiles or by hand", act: toggleAuto },
    { keys: ["i"], shown: "I", does: "invert", act: toggleInvert },
    { keys: ["v"], shown: "V", does: "denoised view, to look at only", act: toggleDenoised },
    { keys: ["h"], shown: "H", does: "hide or show labels", act: toggle("showLabels") },
    { keys: ["j"], shown: "J", does: "hide or show picks", act: toggle("showPicks") },
  ],
  Picks: [
    { keys: [","], shown: ",", does: "lower threshold", act: threshold(-0.01) },
    { keys: ["."], shown: ".", does: "higher threshold", act: threshold(0.01) },
    { keys: ["Enter"], shown: "Enter", does: "accept picks as labels", act: () => accept(false) },
    { keys: ["shift+Enter"], shown: "Shift+Enter", does: "accept, fully labelled, next", act: () => accept(true) },
    { keys: ["d"], shown: "D", does: "next doubtful pick", act: nextDoubtful },
    { keys: ["?"], shown: "?", does: "these keys", act: showHelp },
  ],
};

/** In a project of filaments, instead of the first group. @type {Key[]} */
const FILAMENT_KEYS = [
  { keys: [], shown: "click", does: "begin a filament, go on with it; on one: choose it; on a traced one: accept it" },
  { keys: [], shown: "Enter, double click", does: "end the filament" },
  { keys: [], shown: "Esc, Backspace", does: "while drawing: give up; take the last point back" },
  { keys: [], shown: "drag a point, or a line", does: "bend it; the end of one onto the end of another joins both" },
  { keys: [], shown: "Ctrl-click a line", does: "add a point there" },
  { keys: ["g"], shown: "G", does: "add a point after the one with the ring, or at the pointer", act: () => insertByKey(pointerPlace()) },
  { keys: ["s"], shown: "S, Shift-click", does: "cut at the point with the ring, or at the pointer", act: () => cutByKey(pointerPlace()) },
  { keys: ["m"], shown: "M", does: "join with the nearest end of another filament", act: joinByKey },
  { keys: [], shown: "right-click, Alt-click", does: "delete a point of the chosen filament, a filament; reject a traced one" },
  { keys: ["Delete", "Backspace"], shown: "Del", does: "the same for what the pointer is on, or what is chosen", act: deleteTarget },
  { keys: ["ctrl+z"], shown: "Ctrl+Z", does: "undo what was done last, wherever that was", act: undo },
  { keys: ["ctrl+shift+z", "ctrl+y"], shown: "Ctrl+Shift+Z", does: "redo", act: redo },
  { keys: ["k", "Insert"], shown: "K, Ins", does: "add a point of a new filament: at the pointer, or in the middle", act: addByKey },
  { keys: ["PageDown"], shown: "PgDn, PgUp", does: "next and previous filament", act: () => nextLabel(1) },
  { keys: ["PageUp"], shown: "", does: "", act: () => nextLabel(-1) },
  { keys: ["End"], shown: "End, Home", does: "next and previous point of it", act: () => nextVertex(1) },
  { keys: ["Home"], shown: "", does: "", act: () => nextVertex(-1) },
  { keys: [], shown: "← ↑ → ↓", does: "move the point, or the filament, by 1 px, with Shift by 10 px" },
  { keys: ["["], shown: "[", does: "smaller width", act: () => stepBox(-1) },
  { keys: ["]"], shown: "]", does: "larger width", act: () => stepBox(1) },
  { keys: ["l", "Escape"], shown: "Esc", does: "nothing is chosen", act: () => (setTool("label"), deselect()) },
];

/** @type {Map<string, () => unknown>} */
const actions = new Map();

export function showHelp() {
  /** @type {HTMLDialogElement} */ (el("help")).showModal();
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (document.querySelector("dialog[open]")) return;
  const writing = target instanceof HTMLInputElement && !["range", "checkbox", "file"].includes(target.type);
  const command = event.ctrlKey || event.metaKey;
  if ((writing || target instanceof HTMLSelectElement) && !(command && event.key.toLowerCase() === "s")) return;
  // Enter and Space press a button that has the focus; arrows move a slider.
  if (target instanceof HTMLButtonElement && (event.key === "Enter" || event.key === " ")) return;
  if (target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
  // Enter in the list opens; accepting picks is for the micrograph.
  if (event.key === "Enter" && target !== document.body && target.id !== "overlay") return;
  if (toolKey(event)) {
    event.preventDefault();
    return;
  }
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shift = event.shiftKey && (command || event.key.length > 1) ? "shift+" : "";
  const act = actions.get(`${command ? "ctrl+" : ""}${shift}${name}`);
  if (!act || event.altKey) return;
  event.preventDefault();
  act();
}

/** After a choice by mouse or finger the keys are the micrograph's again; who chooses by keys stays in the list. */
function leaveLists() {
  let byPointer = false;
  window.addEventListener("pointerdown", () => void (byPointer = true), true);
  window.addEventListener("keydown", () => void (byPointer = false), true);
  window.addEventListener("change", ({ target }) => {
    if (byPointer && target instanceof HTMLSelectElement) target.blur();
  });
}

export function startKeys() {
  const { Labels, ...rest } = KEYS;
  const groups = ofFilaments() ? { Filaments: FILAMENT_KEYS, ...rest } : { Labels, ...rest };
  for (const group of Object.values(groups)) for (const { keys, act } of group) for (const key of keys) if (act) actions.set(key, act);
  el("help-keys").replaceChildren(...Object.entries(groups).map(([title, keys]) => {
    const rows = keys.filter((key) => key.shown).flatMap(({ shown, does }) => [make("dt", {}, make("kbd", { textContent: shown })), make("dd", { textContent: does })]);
    return make("section", {}, make("h2", { textContent: title }), make("dl", {}, ...rows));
  }));
  window.addEventListener("keydown", onKey);
  leaveLists();
  el("show-help").addEventListener("click", showHelp);
}
