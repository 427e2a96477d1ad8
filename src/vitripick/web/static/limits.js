// @ts-check
// The limits on picks. limits.py has the same rules for export; tests/web/limits.json holds cases that both must pass.

import { passes } from "./line_picks.js";

/** @typedef {import("./types.js").Pick} Pick */

/** @param {number[]} row as the server sends it @returns {Pick} */
export const asPick = ([x, y, size, confidence]) => ({ x, y, size, confidence });

/**
 * The picks that pass the limits and that the user did not reject.
 * @param {Pick[]} picks in the server's order: of two that are too close, the first stays
 * @param {{threshold: number, minimum_distance_px: number, smallest_px: number, largest_px: number}} limits 0 means no limit
 * @param {[number, number][]} rejected places
 * @param {number} reach a pick within this many pixels of a rejected place is left out
 * @param {Set<number> | null} [good] classes whose picks stay; null: all
 * @returns {Pick[]}
 */
export function withinLimits(picks, limits, rejected, reach, good = null) {
  const result = [];
  const near = limits.minimum_distance_px ? grid(limits.minimum_distance_px) : null;
  for (const pick of picks) {
    if (pick.confidence < limits.threshold) continue;
    if (good && !good.has(pick.group ?? 0)) continue;
    if (limits.smallest_px && pick.size < limits.smallest_px) continue;
    if (limits.largest_px && pick.size > limits.largest_px) continue;
    if (pick.line ? passes(pick.line, rejected, reach) : rejected.some(([x, y]) => (x - pick.x) ** 2 + (y - pick.y) ** 2 <= reach ** 2)) continue;
    if (near?.has(pick.x, pick.y)) continue;
    near?.add(pick.x, pick.y);
    result.push(pick);
  }
  return result;
}

/** Places by cells of the size of `distance`. @param {number} distance */
export function grid(distance) {
  /** @type {Map<number, [number, number][]>} */
  const cells = new Map();
  const cell = (/** @type {number} */ v) => Math.floor(v / distance);
  const keyOf = (/** @type {number} */ i, /** @type {number} */ j) => i * 2 ** 24 + j;
  return {
    /** @param {number} x @param {number} y */
    add(x, y) {
      const key = keyOf(cell(x), cell(y));
      const own = cells.get(key);
      if (own) own.push([x, y]);
      else cells.set(key, [[x, y]]);
    },
    /** @param {number} x @param {number} y @returns {boolean} */
    has(x, y) {
      for (let i = cell(x) - 1; i <= cell(x) + 1; i++) {
        for (let j = cell(y) - 1; j <= cell(y) + 1; j++) {
          for (const [ox, oy] of cells.get(keyOf(i, j)) ?? []) {
            if ((ox - x) ** 2 + (oy - y) ** 2 < distance * distance) return true;
          }
        }
      }
      return false;
    },
  };
}
