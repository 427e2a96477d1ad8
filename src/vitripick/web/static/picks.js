// @ts-check
// The picks beside the labels. All of them are stored; what is seen follows from the limits, here, at once.
import { get, ServerError } from "./api.js";
import { settled } from "./dom.js";
import { sheet } from "./labels.js";
import { asPick, grid, withinLimits } from "./limits.js";
import { tracedAt, unlabelled } from "./line_picks.js";
import { changed, store } from "./store.js";

/** @typedef {import("./types.js").Pick} Pick */

const KEPT = 12;
/** How far from the threshold a pick is doubtful. */
export const DOUBT = 0.12;

/** @typedef {Pick[] & {boxSize?: number | null, classKey?: string}} Picks of one micrograph, with the size of their boxes, and what their classes are known by */

/** @type {Map<string, Promise<Picks | null>>} */
const kept = new Map();
/** @type {Picks | null} surest first; null: this micrograph was not picked */
let current = null;
let currentKey = "";
let generation = 0;

/** @param {string} id @returns {Promise<Picks | null>} */
export function picksOf(id) {
  const set = store.settings.pick_set;
  if (!set) return Promise.resolve(null);
  const key = `${generation}/${set}/${id}`;
  let picks = kept.get(key);
  if (!picks) {
    picks = get(`api/picks/${set}/${id}`).then(({ picks: rows, box_size_px, class_key, classes, lines }) => rows && Object.assign(
      rows.map((/** @type {number[]} */ row, /** @type {number} */ i) => ({ ...asPick(row), group: classes?.[i] ?? 0, ...(lines ? { line: lines[i] } : {}) })),
      { boxSize: box_size_px, classKey: class_key },
    ));
    picks.catch(() => kept.delete(key));
    kept.set(key, picks);
  }
  for (const old of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(old);
  }
  return picks;
}

/** Files have changed: fetch them again. */
export function forgetPicks() {
  generation += 1;
  kept.clear();
}

export async function loadPicks() {
  const id = sheet()?.id;
  if (!id) return;
  const key = `${generation}/${store.settings.pick_set}/${id}`;
  if (key === currentKey) return;
  try {
    const picks = await picksOf(id);
    if (sheet()?.id !== id) return;
    current = picks;
    currentKey = key;
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    current = null;
  }
  changed("picks");
}

export const allPicks = () => (currentKey.endsWith(`/${sheet()?.id}`) ? current : null);

/** The size of the boxes of the picks on the screen, which a run has of its own. */
export const pickBoxSize = () => allPicks()?.boxSize ?? sheet()?.boxSize ?? 100;

/** The classes that picks are culled by; null: they are not. @returns {Set<number> | null} */
export function goodClasses() {
  const s = store.settings, choice = s.class_choices?.[s.pick_set ?? ""];
  return choice?.cull && allPicks()?.classKey === choice.key ? new Set(choice.good) : null;
}

/** @type {{picks: Pick[] | null, key: string, result: Pick[]}} */
let cache = { picks: null, key: "", result: [] };

/** @returns {Pick[]} the picks within all limits, surest first */
export function shownPicks() {
  const picks = allPicks();
  const one = sheet();
  if (!picks || !one) return [];
  const s = store.settings;
  const places = [...one.rejected.values()];
  const good = goodClasses();
  const key = [s.threshold, s.minimum_distance_px, s.smallest_px, s.largest_px, one.boxSize, places.join(), good ? `of ${[...good].join()}` : "all"].join("/");
  if (cache.picks !== picks || cache.key !== key) {
    cache = { picks, key, result: withinLimits(picks, s, places, store.project.rejected_boxes * one.boxSize, good) };
  }
  return cache.result;
}

/**
 * The shown pick nearest to a place, if it is near enough.
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @returns {Pick | null}
 */
export function pickAt(x, y, reach) {
  if (store.settings.filaments) return tracedAt(shownPicks(), x, y, reach);
  let found = null, best = reach * reach;
  for (const pick of shownPicks()) {
    const distance = (pick.x - x) ** 2 + (pick.y - y) ** 2;
    if (distance <= best) [found, best] = [pick, distance];
  }
  return found;
}

/** Shown picks that no label lies on: what accepting would add. */
export function unlabelledPicks() {
  const one = sheet();
  if (one && store.settings.filaments) return unlabelled(shownPicks(), one.lines.values(), one.boxSize);
  if (!one?.labels.size) return shownPicks();
  const near = grid(one.boxSize / 2);
  for (const [x, y] of one.labels.values()) near.add(x, y);
  return shownPicks().filter((pick) => !near.has(pick.x, pick.y));
}

/** @param {Pick} pick */
const isDoubtful = (pick) => Math.abs(pick.confidence - store.settings.threshold) <= DOUBT;

export const anyDoubtful = () => (allPicks() ?? []).some(isDoubtful);

/** Picks around the threshold, the most doubtful first. */
export function doubtfulPicks() {
  const t = store.settings.threshold;
  const picks = (allPicks() ?? []).filter(isDoubtful);
  return picks.sort((a, b) => Math.abs(a.confidence - t) - Math.abs(b.confidence - t));
}

export const histograms = {
  /** @type {string | null} */ set: null,
  /** @type {Record<string, number[]>} */ all: {},
  nBins: 40,
  complete: false,
  /** Exact numbers of picks, at this threshold. @type {Record<string, number>} */ counts: {},
  threshold: -1,
};
let histogramGeneration = 0;

/** Fetch how sure the picks of all micrographs are; the server reads them bit by bit. */
export async function loadHistograms() {
  const mine = ++histogramGeneration;
  const set = store.settings.pick_set;
  if (histograms.set !== set) Object.assign(histograms, { set, all: {}, complete: false, counts: {}, threshold: -1 });
  while (set && mine === histogramGeneration) {
    let answer;
    try {
      answer = await get(`api/picks/${set}`);
    } catch {
      return;
    }
    if (mine !== histogramGeneration) return;
    Object.assign(histograms, { all: answer.micrographs, nBins: answer.n_bins, complete: answer.complete });
    await loadCounts();
    changed("histograms");
    if (answer.complete) return;
  }
}

/** @returns {Promise<boolean>} whether they came */
async function loadCounts() {
  const { set } = histograms, { threshold } = store.settings;
  try {
    const answer = await get(`api/picks/${set}/counts?threshold=${threshold}`);
    if (set === histograms.set) Object.assign(histograms, { counts: answer.counts, threshold });
    return true;
  } catch {
    return false; // the histograms give an estimate
  }
}

/** Count exactly once the threshold rests. */
export const countSoon = settled(async () => {
  if (!histograms.set || histograms.threshold === store.settings.threshold) return;
  if (await loadCounts()) changed("histograms");
}, 250);

/**
 * How many picks of a micrograph are at or above the threshold; while it moves, by its histogram.
 * @param {string} id
 * @returns {number | null} null: it was not picked, or it is not counted yet
 */
export function picksAbove(id) {
  if (histograms.threshold === store.settings.threshold && id in histograms.counts) return histograms.counts[id];
  const bins = histograms.all[id];
  return bins ? countAbove(bins, store.settings.threshold) : null;
}

/**
 * How many picks of a micrograph are at or above a confidence; between two bins in proportion.
 * @param {number[]} bins
 * @param {number} threshold
 */
export function countAbove(bins, threshold) {
  const place = threshold * bins.length;
  let sum = 0;
  for (let i = Math.floor(place); i < bins.length; i++) {
    sum += bins[i] * Math.min(1, i + 1 - place);
  }
  return Math.round(sum);
}

/**
 * How unsure the model is of a micrograph: the share of its picks that lie around the threshold. A few picks more
 * in the denominator keep an empty micrograph with one doubtful speck from coming first.
 * @param {string} id
 */
export function doubtOf(id) {
  const bins = histograms.all[id];
  if (!bins) return -1;
  const t = store.settings.threshold;
  const sure = countAbove(bins, Math.min(1, t + DOUBT));
  const doubtful = countAbove(bins, Math.max(0, t - DOUBT)) - sure;
  return doubtful / (sure + doubtful + 5);
}
