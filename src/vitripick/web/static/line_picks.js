// @ts-check
// Traced filaments as picks: each has the line beside the place of its middle. filament_sets.py has the same rules for export.
import { lengthOf, lineAt, mayReach, nearestOn, thinned } from "./lines.js";

/** @typedef {import("./types.js").Pick} Pick */
/** @typedef {import("./lines.js").Line} Line */
/** @typedef {import("./lines.js").Place} Place */

/** A traced line loses the points that move it by less than this, in widths: a hand bends the others. */
const THINNED_WIDTHS = 0.05;

/** @param {Line} line @param {Place[]} places @param {number} reach @returns {boolean} whether one lies on the line */
export const passes = (line, places, reach) => places.some(([x, y]) => mayReach(line, x, y, reach) && nearestOn(line, x, y).distance <= reach);

/** @param {Pick[]} picks @param {number} x @param {number} y @param {number} reach @returns {Pick | null} the one whose line is nearest */
export function tracedAt(picks, x, y, reach) {
  const lines = picks.map((pick) => /** @type {[Pick, Line]} */ ([pick, pick.line ?? []]));
  return lineAt(lines, x, y, reach)?.key ?? null;
}

/** Places along a line, at shares of its length. @param {Line} line @param {number[]} shares @returns {Place[]} */
function along(line, shares) {
  const whole = lengthOf(line);
  return shares.map((share) => {
    let left = share * whole;
    for (let i = 1; i < line.length; i++) {
      const [ax, ay] = line[i - 1], [bx, by] = line[i];
      const step = Math.hypot(bx - ax, by - ay);
      if (left <= step) return [ax + ((bx - ax) * left) / (step || 1), ay + ((by - ay) * left) / (step || 1)];
      left -= step;
    }
    return line[line.length - 1];
  });
}

const SHARES = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8];

/** Where a rejected filament is marked: on it, and on no other one if it can be. @param {Pick} pick @param {Pick[]} others @param {number} width @returns {Place} */
export function placeOf(pick, others, width) {
  const line = pick.line ?? [];
  const lines = others.filter((one) => one !== pick).map((one) => one.line ?? []);
  const places = along(line, SHARES);
  return places.find((place) => !lines.some((other) => passes(other, [place], width / 2))) ?? places[0];
}

/** Those that no label follows along most of their length. @param {Pick[]} picks @param {Iterable<Line>} labels @param {number} width @returns {Pick[]} */
export function unlabelled(picks, labels, width) {
  const known = [...labels];
  return picks.filter((pick) => {
    const places = along(pick.line ?? [], [0.1, 0.3, 0.5, 0.7, 0.9]);
    return places.filter((place) => known.some((line) => passes(line, [place], width / 2))).length < 3;
  });
}

/** What a traced filament is as a label: as few points as follow it. @param {Pick} pick @param {number} width @returns {Line} */
export const asLabel = (pick, width) =>
  thinned(pick.line ?? [], Math.max(0.3, THINNED_WIDTHS * width)).map(([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);
