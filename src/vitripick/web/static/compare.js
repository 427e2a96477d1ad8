// @ts-check
// A second set of picks beside the first: two colours, what only one of them has, figures side by side, both curves.
import { get } from "./api.js";
import { el, fill, input, make, select, thousands } from "./dom.js";
import { sheet } from "./labels.js";
import { asPick, grid, withinLimits } from "./limits.js";
import { allPicks, countAbove, histograms, shownPicks } from "./picks.js";
import { changed, setView, store, watch } from "./store.js";

/** @typedef {import("./types.js").Pick} Pick */
/** @typedef {{points: [number, number, number][], n_labels: number, n_micrographs: number}} Curve */

/** What is known about the second set. */
const other = {
  set: "", micrograph: "",
  /** @type {Pick[] | null} */ picks: null,
  /** @type {Curve | null} */ curve: null,
  /** @type {Record<string, number[]>} */ histograms: {},
};

/** @type {Curve | null} of the first set */
let ownCurve = null;

const chosen = () => {
  const set = store.settings.view.compareSet;
  return typeof set === "string" && set !== store.settings.pick_set && store.status?.pick_sets.some(({ id }) => id === set) ? set : "";
};
/** Confidences of two models mean different things, so each is cut at its own threshold. */
const otherThreshold = () => store.status?.pick_sets.find(({ id }) => id === other.set)?.threshold ?? store.settings.threshold;
const onlyDifferences = () => Boolean(chosen()) && store.settings.view.onlyDifferences === true;

/** @type {{mine: Pick[], theirs: Pick[], onlyMine: Pick[], onlyTheirs: Pick[], key: string, from: Pick[] | null}} */
let compared = { mine: [], theirs: [], onlyMine: [], onlyTheirs: [], key: "", from: null };

function compare() {
  const one = sheet(), mine = shownPicks();
  if (!one || !chosen() || !other.picks || other.micrograph !== one.id) return null;
  const s = store.settings, places = [...one.rejected.values()];
  const key = [other.set, one.id, otherThreshold(), s.minimum_distance_px, s.smallest_px, s.largest_px, one.boxSize, places.join()].join("/");
  if (compared.key === key && compared.from === mine) return compared;
  const theirs = withinLimits(other.picks, { ...s, threshold: otherThreshold() }, places, store.project.rejected_boxes * one.boxSize);
  const near = (/** @type {Pick[]} */ picks) => {
    // Half a box: nearer than that, two picks mean the same particle.
    const places = grid(Math.max(1, one.boxSize / 2));
    for (const { x, y } of picks) places.add(x, y);
    return places;
  };
  const nearTheirs = near(theirs), nearMine = near(mine);
  compared = {
    mine, theirs, key, from: mine,
    onlyMine: mine.filter(({ x, y }) => !nearTheirs.has(x, y)), onlyTheirs: theirs.filter(({ x, y }) => !nearMine.has(x, y)),
  };
  return compared;
}

/** What is drawn: the picks of both sets, or only those that the other set does not have. @returns {{picks: Pick[], others: Pick[]}} */
export function picksToDraw() {
  const both = compare();
  if (!both) return { picks: shownPicks(), others: [] };
  return onlyDifferences() ? { picks: both.onlyMine, others: both.onlyTheirs } : { picks: both.mine, others: both.theirs };
}

export const otherCurve = () => (chosen() ? other.curve : null);

/** @param {Curve} curve of the first set */
export function hearOwnCurve(curve) {
  ownCurve = curve;
  table();
}

/** @param {Curve | null} curve @param {number} threshold @returns {string[]} F1, precision, recall */
function figures(curve, threshold) {
  const kept = curve?.n_labels ? curve.points.filter(([at]) => at >= threshold) : [];
  if (!kept.length) return ["–", "–", "–"];
  const [, precision, recall] = kept[kept.length - 1];
  const f1 = precision + recall ? (2 * precision * recall) / (precision + recall) : 0;
  return [f1, precision, recall].map((value) => value.toFixed(3));
}

/** @param {Record<string, number[]>} all @param {number} threshold */
function total(all, threshold) {
  const counts = Object.values(all).map((bins) => countAbove(bins, threshold));
  return counts.length ? `about ${thousands(counts.reduce((sum, n) => sum + n, 0))} on ${thousands(counts.length)}` : "–";
}

function table() {
  const both = compare();
  el("compare-some").hidden = !chosen();
  if (!chosen()) return;
  const t = store.settings.threshold, mine = figures(ownCurve, t), theirs = figures(other.curve, otherThreshold());
  const n = (/** @type {Pick[] | undefined} */ picks) => (picks ? thousands(picks.length) : "–");
  const rows = [
    ["", "first", "second"],
    ["threshold", t.toFixed(3), otherThreshold().toFixed(3)],
    ["picks here", n(allPicks() ? shownPicks() : undefined), n(both?.theirs)],
    ["only in this one", n(both?.onlyMine), n(both?.onlyTheirs)],
    ["picks on micrographs", total(histograms.all, t), total(other.histograms, otherThreshold())],
    ["judged on micrographs", ...[ownCurve, other.curve].map((curve) => (curve?.n_labels ? String(curve.n_micrographs) : "–"))],
    ...["F1", "precision", "recall"].map((name, i) => [name, mine[i], theirs[i]]),
  ];
  el("compare-table").replaceChildren(...rows.map(([name, ...cells], i) => {
    const head = make("th", { textContent: name, scope: "row" });
    return make("tr", {}, i ? head : make("td"), ...cells.map((text) => make(i ? "td" : "th", { textContent: text, ...(i ? {} : { scope: "col" }) })));
  }));
}

/** Fetch what is not known yet of the second set. */
async function load() {
  const set = chosen(), id = sheet()?.id ?? "";
  if (other.set !== set) Object.assign(other, { set, micrograph: "", picks: null, curve: null, histograms: {} });
  if (!set || !id) return;
  const fresh = !other.curve;
  try {
    if (other.micrograph !== id) {
      other.micrograph = id;
      const { picks } = await get(`api/picks/${set}/${id}`);
      if (other.set !== set || other.micrograph !== id) return;
      other.picks = picks?.map(asPick) ?? null;
      changed("picks");
    }
    if (fresh) {
      const [curve, counted] = await Promise.all([get(`api/picks/${set}/curve`), get(`api/picks/${set}`)]);
      if (other.set !== set) return;
      Object.assign(other, { curve, histograms: counted.micrographs });
      changed("histograms");
    }
  } catch {
    other.micrograph = ""; // The banner, or the first set, says why; the next change asks again.
  }
}

function refresh() {
  const sets = (store.status?.pick_sets ?? []).filter(({ id }) => id !== store.settings.pick_set);
  el("compare").hidden = !sets.length;
  fill(select("compare-set"), [{ value: "", text: "nothing" }, ...sets.map(({ id, title }) => ({ value: id, text: title }))], chosen());
  input("only-differences").checked = onlyDifferences();
  load();
  table();
}

export function startCompare() {
  select("compare-set").addEventListener("change", () => setView({ compareSet: select("compare-set").value }));
  input("only-differences").addEventListener("change", () => setView({ onlyDifferences: input("only-differences").checked }));
  watch(["status", "settings", "picks", "current", "histograms"], refresh);
  refresh();
}
