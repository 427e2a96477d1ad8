// @ts-check
// Drawing and bending filaments, by mouse, fingers and keys: a click begins one, more clicks go on, Enter ends it.
import { el, toast } from "./dom.js";
import { edit, sheet } from "./labels.js";
import { cutAt, joined, lengthOf, lineAt, nearestEnds, vertexAt, withoutRepeats } from "./lines.js";
import { asLabel } from "./line_picks.js";
import { pickAt } from "./picks.js";
import { changed, store, watch } from "./store.js";
import { lineMarks as marked, redraw, viewport } from "./viewer.js";

/** @typedef {import("./lines.js").Place} Place */
/** @typedef {import("./lines.js").Line} Line */
/** @typedef {{kind: "line", number: number, before: Line, at: number, inserted: boolean, x: number, y: number, moved: boolean, shown?: Line}} LineDrag */

/** The pointer is on a line, or on a vertex, within this on the screen. */
const REACH_PX = 8;
/** Widths over which a key joins ends. */
const JOIN_WIDTHS = 20;

export const ofFilaments = () => store.settings.filaments === true;
export const isDrawing = () => marked.drawing.length > 0;

const reach = () => REACH_PX / viewport.scale;
/** Of a filament, whose middle line is not all that can be clicked. */
const reachOfLine = () => Math.max(reach(), (sheet()?.boxSize ?? 0) / 3);
const linesShown = () => store.settings.view.showLabels !== false;
/** @param {number} n */
const lineOf = (n) => sheet()?.lines.get(n);
const selectedLine = () => (marked.selected === null ? undefined : lineOf(marked.selected));

/** @param {Place} place @returns {Place} inside the micrograph, with the decimals that are stored */
function clamped([x, y]) {
  const [rows, columns] = viewport.shape;
  const within = (/** @type {number} */ v, /** @type {number} */ most) => Math.round(Math.min(most - 1, Math.max(0, v)) * 100) / 100;
  return [within(x, columns), within(y, rows)];
}

/** @param {Place} place */
const labelled = (place) => (linesShown() ? lineAt(sheet()?.lines ?? [], ...place, reachOfLine()) : null);

/** @param {number | null} number @param {number | null} [vertex] of it, which gets the ring */
export function selectLine(number, vertex = null) {
  const line = number === null ? undefined : lineOf(number);
  marked.selected = line ? number : null;
  marked.vertex = line && vertex !== null && vertex < line.length ? Math.max(0, vertex) : null;
  redraw(false);
}

/** Say which filament, or which vertex of it, is selected, and bring it into view. */
function speak() {
  const one = sheet(), line = selectedLine();
  if (!one || !line) return;
  const [x, y] = line[marked.vertex ?? Math.floor(line.length / 2)];
  const [sx, sy] = viewport.toScreen(x, y);
  if (sx < 0 || sy < 0 || sx > viewport.width || sy > viewport.height) viewport.centreOn(x, y);
  const order = [...one.lines.keys()].indexOf(/** @type {number} */ (marked.selected)) + 1;
  el("spoken").textContent = marked.vertex === null
    ? `filament ${order} of ${one.lines.size}, ${line.length} points, ${lengthOf(line).toFixed(0)} pixels long`
    : `point ${marked.vertex + 1} of ${line.length} at x ${x.toFixed(0)}, y ${y.toFixed(0)}`;
  changed("view");
}

/** @param {number} number @param {Line} line what it becomes */
const bend = (number, line) => edit({ bend: [[number, line.map((place) => clamped(place))]] });

/**
 * @param {PointerEvent} event
 * @param {Place} place
 * @param {Place} screen
 * @returns {LineDrag | "done" | null} null: there is no filament here
 */
export function lineDown(event, place, [x, y]) {
  if (isDrawing()) return null;
  const own = selectedLine(), found = labelled(place);
  // The points that are shown come first: those of the selected filament.
  const vertex = own && linesShown() ? vertexAt(own, ...place, reach()) : null;
  const number = vertex !== null ? marked.selected : found?.key ?? null;
  const before = number === null ? undefined : lineOf(number);
  if (number === null || !before) return null;
  if (vertex === null && found && (event.ctrlKey || event.metaKey)) {
    bend(number, [...before.slice(0, found.on.piece + 1), place, ...before.slice(found.on.piece + 1)]);
    selectLine(number, found.on.piece + 1);
    return "done";
  }
  if (event.shiftKey) {
    cut(number, vertex, found?.on ?? null);
    return "done";
  }
  selectLine(number, vertex);
  return vertex !== null ? { kind: "line", number, before, at: vertex, inserted: true, x, y, moved: false }
    : found && { kind: "line", number, before, at: found.on.piece, inserted: false, x, y, moved: false };
}

/** Whether another window has changed the filament since it was taken hold of. @param {LineDrag} drag */
function isLost(drag) {
  const now = lineOf(drag.number);
  return !now || (now !== (drag.shown ?? drag.before) && JSON.stringify(now) !== JSON.stringify(drag.before));
}

/** Bend the line where it is held, on the screen only. @param {LineDrag} drag @param {Place} place */
export function lineDrag(drag, place) {
  if (isLost(drag)) return;
  const at = drag.inserted ? drag.at : drag.at + 1;
  const line = [...drag.before];
  line.splice(at, drag.inserted ? 1 : 0, clamped(place));
  drag.shown = line;
  sheet()?.lines.set(drag.number, line);
  selectLine(drag.number, at);
}

/** Let it go: the bend is one edit; an end that is let go at the end of another filament joins both. @param {LineDrag} drag */
export function lineUp(drag) {
  const one = sheet(), now = drag.shown;
  if (!one || !now) return;
  if (isLost(drag)) return toast("Another window has changed this filament meanwhile.", "bad");
  const vertex = marked.vertex ?? 0;
  one.lines.set(drag.number, drag.before);
  const atEnd = drag.inserted && (vertex === 0 || vertex === now.length - 1);
  const other = atEnd ? endAt(now[vertex], drag.number) : null;
  if (other) {
    const last = vertex === now.length - 1;
    join(drag.number, joined(last ? drag.before.slice(0, -1) : drag.before.slice(1), last, /** @type {Line} */ (lineOf(other.number)), other.last), other.number);
  } else if (withoutRepeats(now).length > 1) bend(drag.number, now);
  redraw(false);
}

/** @param {LineDrag} drag that the pointer began and does not end */
export function dropLine(drag) {
  if (!isLost(drag)) sheet()?.lines.set(drag.number, drag.before);
  redraw(false);
}

/** @param {Place} place @param {number} own whose ends do not count @returns {{number: number, last: boolean} | null} */
function endAt([x, y], own) {
  for (const [number, line] of sheet()?.lines ?? []) {
    if (number === own) continue;
    for (const last of [true, false]) {
      const [ex, ey] = last ? line[line.length - 1] : line[0];
      if (Math.hypot(ex - x, ey - y) <= reach()) return { number, last };
    }
  }
  return null;
}

/** @param {number} number @param {Line} line what both become @param {number} other which goes */
function join(number, line, other) {
  edit({ bend: [[number, line]], remove_lines: [other] });
  selectLine(number);
  toast("Joined two filaments.");
}

/** @param {Place} place where there is no filament, or where one is drawn */
export function lineClick(place) {
  if (!sheet()?.shape || store.readOnly || !viewport.contains(...place)) return;
  const last = marked.drawing[marked.drawing.length - 1];
  const near = last && Math.hypot(last[0] - place[0], last[1] - place[1]) <= reach();
  if (near && marked.drawing.length > 1) return endLine();
  if (near) return;
  const pick = last ? null : tracedAt(place);
  if (pick) return accept(pick);
  if (!last) selectLine(null);
  marked.drawing.push(clamped(place));
  hint();
  redraw(false);
}

/** @param {Place} place @returns {import("./types.js").Pick | null} the traced filament there, if they are shown */
const tracedAt = (place) => (store.settings.view.showPicks !== false ? pickAt(...place, reachOfLine()) : null);

/** A traced filament becomes a label, with as few points as follow it. @param {import("./types.js").Pick} pick */
function accept(pick) {
  const one = sheet();
  if (!one) return;
  const number = one.number();
  edit({ add_lines: [[number, asLabel(pick, one.boxSize)]] });
  selectLine(number);
}

/** The filament that is drawn becomes a label, if it has two points. */
export function endLine() {
  const one = sheet(), line = withoutRepeats(marked.drawing);
  const begun = isDrawing();
  marked.drawing = [];
  marked.pointer = null;
  hint();
  if (one && line.length > 1) {
    const number = one.number();
    edit({ add_lines: [[number, line]] });
    selectLine(number);
  } else if (begun) toast("A filament needs two points.");
  redraw(false);
}

function giveUp() {
  marked.drawing = [];
  marked.pointer = null;
  hint();
  redraw(false);
}

function hint() {
  const node = el("tool-hint");
  node.hidden = !isDrawing();
  node.textContent = "Click along the filament; Enter or a double click ends it, Backspace takes a point back, Esc gives up";
}

/** @param {Place} place @param {boolean} inside the micrograph @returns {boolean} whether the pointer is on a filament */
export function lineHover(place, inside) {
  marked.pointer = isDrawing() && inside ? place : null;
  const found = isDrawing() ? null : labelled(place);
  const pick = isDrawing() || found ? null : tracedAt(place);
  marked.hovered = found && found.key !== marked.selected ? lineOf(found.key) ?? null : pick?.line ?? null;
  return found !== null || (!isDrawing() && selectedVertexAt(place) !== null);
}

/** @param {Place} place */
function selectedVertexAt(place) {
  const line = selectedLine();
  return line ? vertexAt(line, ...place, reach()) : null;
}

/** Delete the point of the selected filament at a place, or the filament there. @param {Place} place @returns {boolean} whether there was one */
export function lineAway(place) {
  if (isDrawing()) {
    takePointBack();
    return true;
  }
  const vertex = selectedVertexAt(place);
  if (vertex !== null) {
    removeVertex(vertex);
    return true;
  }
  const found = labelled(place);
  if (!found) return false;
  removeLine(found.key);
  return true;
}

/** @param {number} vertex of the selected filament */
function removeVertex(vertex) {
  const number = marked.selected, line = selectedLine();
  if (number === null || !line) return;
  if (line.length < 3) return removeLine(number);
  bend(number, line.filter((_, i) => i !== vertex));
  selectLine(number, marked.vertex === null ? null : Math.max(0, vertex - 1));
}

/** @param {number} number */
function removeLine(number) {
  edit({ remove_lines: [number] });
  marked.hovered = null;
  selectLine(marked.selected === number ? null : marked.selected);
}

function takePointBack() {
  marked.drawing.pop();
  if (!isDrawing()) giveUp();
  redraw(false);
}

/** @param {number} number @param {number | null} vertex where to cut, or @param {import("./lines.js").On | null} on */
function cut(number, vertex, on) {
  const line = lineOf(number), one = sheet();
  if (!line || !one) return;
  const parts = vertex !== null ? cutAt(line, vertex, line[vertex]) : on && cutAt(line, on.piece, clamped(on.place));
  if (!parts) return toast("A filament is cut between its ends.");
  const fresh = one.number();
  edit({ bend: [[number, parts[0]]], add_lines: [[fresh, parts[1]]] });
  selectLine(fresh);
  toast("Cut in two.");
}

/** Cut at the point with the ring, else under the pointer. @param {Place | null} pointer */
export function cutByKey(pointer) {
  if (store.readOnly) return;
  if (marked.selected !== null && marked.vertex !== null) return cut(marked.selected, marked.vertex, null);
  const found = pointer && labelled(pointer);
  if (found) cut(found.key, null, found.on);
  else toast("Put the pointer on a filament, or choose a point of it (End), to cut it there.");
}

/** Join the selected filament to the nearest end of another one. */
export function joinByKey() {
  const number = marked.selected, line = selectedLine(), one = sheet();
  if (store.readOnly || !one) return;
  if (number === null || !line) return toast("Choose a filament first: click it, or press Page Down.");
  let best = null;
  for (const [other, its] of one.lines) {
    if (other === number) continue;
    const ends = nearestEnds(line, its);
    if (ends.gap < (best?.gap ?? JOIN_WIDTHS * one.boxSize)) best = { ...ends, other, its };
  }
  if (!best) return toast(`No end of another filament lies within ${JOIN_WIDTHS} widths.`);
  join(number, joined(line, best.aLast, best.its, best.bLast), best.other);
}

/** A point more: after the one with the ring, or under the pointer. @param {Place | null} pointer */
export function insertByKey(pointer) {
  const number = marked.selected, line = selectedLine();
  if (store.readOnly) return;
  const found = pointer && labelled(pointer);
  if (marked.vertex === null && found) {
    const own = /** @type {Line} */ (lineOf(found.key));
    bend(found.key, [...own.slice(0, found.on.piece + 1), found.on.place, ...own.slice(found.on.piece + 1)]);
    return selectLine(found.key, found.on.piece + 1);
  }
  if (number === null || !line) return toast("Choose a filament first: click it, or press Page Down.");
  const after = Math.min(marked.vertex ?? Math.floor((line.length - 1) / 2), line.length - 2);
  const [[ax, ay], [bx, by]] = [line[after], line[after + 1]];
  bend(number, [...line.slice(0, after + 1), [(ax + bx) / 2, (ay + by) / 2], ...line.slice(after + 1)]);
  selectLine(number, after + 1);
  speak();
}

/** Add a point by key: at the pointer, in the middle of what is seen, or where the last one is. @param {Place | null} pointer */
export function pointByKey(pointer) {
  if (!sheet()?.shape || store.readOnly) return;
  const last = marked.drawing[marked.drawing.length - 1];
  if (pointer) return lineClick(pointer);
  if (!last) selectLine(null);
  marked.drawing.push(clamped(last ?? viewport.toImage(viewport.width / 2, viewport.height / 2)));
  const [x, y] = marked.drawing[marked.drawing.length - 1];
  el("spoken").textContent = `point ${marked.drawing.length} of a new filament at x ${x.toFixed(0)}, y ${y.toFixed(0)}; arrows move it, K adds the next one, Enter ends`;
  hint();
  redraw(false);
}

/** Move the last point of what is drawn, the point with the ring, or the selected filament. @param {number} dx @param {number} dy @returns {boolean} whether there is one */
export function nudgeLine(dx, dy) {
  if (store.readOnly) return false;
  if (isDrawing()) {
    const [x, y] = marked.drawing[marked.drawing.length - 1];
    const to = clamped([x + dx, y + dy]);
    marked.drawing = [...marked.drawing.slice(0, -1), to];
    const [sx, sy] = viewport.toScreen(...to);
    if (sx < 0 || sy < 0 || sx > viewport.width || sy > viewport.height) viewport.centreOn(...to);
    changed("view");
    return true;
  }
  const number = marked.selected, line = selectedLine();
  if (number === null || !line) return false;
  const moved = line.map(([x, y], i) => /** @type {Place} */ (marked.vertex === null || i === marked.vertex ? clamped([x + dx, y + dy]) : [x, y]));
  if (withoutRepeats(moved).length < line.length) return true; // one point would lie on the next
  bend(number, moved);
  selectLine(number, marked.vertex);
  return true;
}

/** Go to the next filament, row by row as one reads. @param {1 | -1} way */
export function nextLine(way) {
  const one = sheet();
  if (!one?.lines.size) return toast("No filaments here.");
  const band = Math.max(1, one.boxSize * 4);
  const order = [...one.lines].sort(([, [a]], [, [b]]) => Math.floor(a[1] / band) - Math.floor(b[1] / band) || a[0] - b[0]).map(([n]) => n);
  const now = marked.selected === null ? -1 : order.indexOf(marked.selected);
  selectLine(order[now < 0 ? (way > 0 ? 0 : order.length - 1) : (now + way + order.length) % order.length]);
  speak();
}

/** Go to the next point of the selected filament. @param {1 | -1} way */
export function nextVertex(way) {
  const line = selectedLine();
  if (!line) return toast("Choose a filament first: click it, or press Page Down.");
  const now = marked.vertex ?? (way > 0 ? -1 : line.length);
  selectLine(marked.selected, (now + way + line.length) % line.length);
  speak();
}

/** Delete what the pointer is on, else the point with the ring, else the selected filament. @param {Place | null} pointer @returns {boolean} */
export function deleteLine(pointer) {
  if (store.readOnly) return true;
  if (marked.vertex !== null && !(pointer && marked.hovered)) removeVertex(marked.vertex);
  else if (pointer && labelled(pointer)) removeLine(/** @type {{key: number}} */ (labelled(pointer)).key);
  else if (pointer && tracedAt(pointer)) return false;
  else if (marked.selected !== null) removeLine(marked.selected);
  else return false;
  return true;
}

/** @param {KeyboardEvent} event @returns {boolean} whether it was for what is drawn */
export function lineKey(event) {
  if (!isDrawing()) return false;
  const command = event.ctrlKey || event.metaKey;
  if (event.key === "Enter") endLine();
  else if (event.key === "Escape") giveUp();
  else if (["Backspace", "Delete"].includes(event.key) || (command && !event.shiftKey && event.key.toLowerCase() === "z")) takePointBack();
  else return false;
  return true;
}

export function startLineTools() {
  watch("current", () => {
    giveUp();
    Object.assign(marked, { selected: null, vertex: null, hovered: null });
  });
  // What another window did, or undo, may have taken away what is marked.
  watch("labels", () => {
    if (marked.selected !== null) selectLine(marked.selected, marked.vertex);
  });
}
