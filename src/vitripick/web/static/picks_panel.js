// @ts-check
// The Picks tab: threshold with histogram, limits, accepting, the precision-recall curve, picks per micrograph.
import { get } from "./api.js";
import { confidenceColour } from "./boxes.js";
import { hearOwnCurve, otherCurve } from "./compare.js";
import { line, note, plotOn } from "./charts.js";
import { button, canvas, count, el, fill, input, select, settled, toast, thousands } from "./dom.js";
import { edit, setFlag, sheet } from "./labels.js";
import {
  allPicks, anyDoubtful, countSoon, doubtfulPicks, goodClasses, histograms, loadHistograms, loadPicks, picksAbove, shownPicks, unlabelledPicks,
} from "./picks.js";
import { asLabel } from "./line_picks.js";
import { together } from "./session_undo.js";
import { setSettings, store, watch } from "./store.js";
import { goTo } from "./viewer.js";

/** @type {{points: [number, number, number][], n_micrographs: number, n_labels: number, complete_labels: boolean, n_in_training: number} | null} */
let curve = null;
let curveKey = "";
/** @type {string[]} micrographs in the order of the plot */
let plotted = [];
let doubtfulSeen = "";
let doubtfulIndex = 0;

const isOpen = () => !el("page-picks").hidden;

/** @param {number} threshold */
function setThreshold(threshold) {
  setSettings({ threshold: Math.round(Math.min(1, Math.max(0, threshold)) * 1000) / 1000 });
}

function refresh() {
  const sets = store.status?.pick_sets ?? [];
  fill(select("pick-set"), sets.map((set) => ({ value: set.id, text: set.title })), store.settings.pick_set);
  select("pick-set").disabled = !sets.length;
  el("picks-none").hidden = sets.length > 0;
  el("picks-some").hidden = !sets.length;
  const threshold = store.settings.threshold;
  input("threshold").value = String(threshold);
  el("threshold-value").textContent = `≥ ${threshold.toFixed(3)}`;
  const all = allPicks(), shown = shownPicks();
  el("pick-count").textContent = all ? `${thousands(shown.length)} of ${thousands(all.length)} picks${goodClasses() ? ", of good classes" : ""}` : "not picked";
  let total = 0, n = 0;
  for (const id of Object.keys(histograms.all)) {
    total += picksAbove(id) ?? 0;
    n += 1;
  }
  const exactly = histograms.threshold === threshold;
  if (!exactly) countSoon();
  const own = sets.find((set) => set.id === store.settings.pick_set)?.threshold ?? null;
  const isOwn = own !== null && Math.abs(own - threshold) < 0.0005;
  el("threshold-whose").textContent = own === null ? "set here; these picks have none of their own" : isOwn ? "the model's own" : "set here";
  const back = button("threshold-own");
  back.hidden = own === null || isOwn;
  back.textContent = `model's own: ${own?.toFixed(3)}`;
  el("pick-total").textContent = n > 1 ? `· ${exactly ? "" : "about "}${thousands(total)} on ${thousands(n)} micrographs${histograms.complete ? "" : "…"}` : "";
  if (!isOpen()) return;
  const extra = unlabelledPicks().length;
  button("accept").textContent = extra ? `Accept ${thousands(extra)} as labels` : "Accept as labels";
  button("accept").disabled = button("accept-complete").disabled = !all;
  button("doubtful").disabled = !anyDoubtful();
  drawHistogram();
  drawCurve();
  drawPerMicrograph();
}

const N_BINS = 50;
/** @type {{picks: import("./types.js").Pick[] | null, bins: number[]}} */
let binned = { picks: null, bins: [] };

function drawHistogram() {
  const plot = plotOn(canvas("histogram"));
  if (!plot) return;
  const nBins = N_BINS, picks = allPicks();
  if (binned.picks !== picks || !picks) {
    binned = { picks, bins: new Array(nBins).fill(0) };
    for (const pick of picks ?? []) binned.bins[Math.min(nBins - 1, Math.floor(pick.confidence * nBins))]++;
  }
  const { bins } = binned;
  // The many faint picks would hide the rest: square roots keep both in sight.
  const most = Math.sqrt(Math.max(1, ...bins));
  const { context, width, height, colour } = plot;
  const bar = width / nBins;
  bins.forEach((n, i) => {
    const tall = (Math.sqrt(n) / most) * (height - 4);
    const kept = (i + 0.5) / nBins >= store.settings.threshold;
    context.fillStyle = kept ? confidenceColour((i + 0.5) / nBins) : colour("line");
    context.fillRect(i * bar + 0.5, height - tall, bar - 1, tall);
  });
  const x = store.settings.threshold * width;
  line(plot, [[x, 0], [x, height]], colour("ink"), 1.5);
  const own = store.status?.pick_sets.find((set) => set.id === store.settings.pick_set)?.threshold;
  if (own) {
    context.setLineDash([3, 3]);
    line(plot, [[own * width, 10], [own * width, height]], colour("dim"), 1);
    context.setLineDash([]);
    note(plot, "model's own", own * width + (own > 0.7 ? -4 : 4), 9, own > 0.7 ? "right" : "left");
  }
}

const loadCurve = settled(async () => {
  const set = store.settings.pick_set;
  if (!set || !isOpen()) return;
  const s = store.settings;
  const flags = store.rows.filter((row) => row.labels || row.flag).map((row) => `${row.id}${row.labels}${row.flag}`);
  const key = [set, s.minimum_distance_px, s.smallest_px, s.largest_px, s.box_size_px, store.status?.n_picked, JSON.stringify(s.class_choices?.[set]), ...flags].join();
  if (key === curveKey) return;
  try {
    curve = await get(`api/picks/${set}/curve`);
    if (curve) hearOwnCurve(curve);
    curveKey = key;
  } catch {
    curve = null;
  }
  drawCurve();
}, 700);

const PAD = { left: 30, right: 8, top: 8, bottom: 22 };

function drawCurve() {
  const plot = plotOn(canvas("curve"));
  if (!plot) return;
  const { context, width, height, colour } = plot;
  const x = (/** @type {number} */ recall) => PAD.left + recall * (width - PAD.left - PAD.right);
  const y = (/** @type {number} */ precision) => height - PAD.bottom - precision * (height - PAD.top - PAD.bottom);
  for (const v of [0, 0.5, 1]) {
    line(plot, [[x(0), y(v)], [x(1), y(v)]], colour("line"), 1);
    note(plot, String(v), PAD.left - 5, y(v) + 4, "right");
    note(plot, String(v), x(v), height - 8, v ? (v === 1 ? "right" : "center") : "left");
  }
  note(plot, "recall", x(0.75), height - 8, "center");
  if (!curve?.n_labels || !curve.points.length) {
    el("curve-note").textContent = "Appears when micrographs have both labels and picks.";
    note(plot, "precision", x(0) + 6, y(0.9));
    return;
  }
  note(plot, "precision", x(0) + 6, y(0) - 6);
  const second = otherCurve();
  if (second?.n_labels) line(plot, second.points.map(([, precision, recall]) => [x(recall), y(precision)]), colour("second"), 2);
  line(plot, curve.points.map(([, precision, recall]) => [x(recall), y(precision)]), colour("label"), 2);
  // The last point at or above the threshold: what is kept now.
  const kept = curve.points.filter(([threshold]) => threshold >= store.settings.threshold);
  const at = kept[kept.length - 1] ?? curve.points[0];
  context.beginPath();
  context.arc(x(at[2]), y(at[1]), 6, 0, 2 * Math.PI);
  context.fillStyle = colour("pick");
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = colour("surface");
  context.stroke();
  const [, precision, recall] = kept.length ? at : [0, 1, 0];
  const f1 = precision + recall ? (2 * precision * recall) / (precision + recall) : 0;
  const bound = curve.complete_labels ? "" : " Labels are incomplete, so precision is a lower bound.";
  const leak = curve.n_in_training ? ` ${curve.n_in_training} of them taught this model.` : "";
  el("curve-note").textContent =
    `Precision ${precision.toFixed(2)}, recall ${recall.toFixed(2)}, F1 ${f1.toFixed(2)} on ${count(curve.n_micrographs, "micrograph")} (${count(curve.n_labels, "label")}, ${store.settings.filaments ? "by length, within a quarter of the width" : "within a quarter of the box"}).${leak}${bound} Drag the point.`;
}

/** @param {PointerEvent} event */
function dragCurve(event) {
  if (!curve?.points.length || !(event.buttons & 1)) return;
  const box = canvas("curve").getBoundingClientRect();
  const recall = (event.clientX - box.left - PAD.left) / (box.width - PAD.left - PAD.right);
  let best = curve.points[0];
  for (const point of curve.points) if (Math.abs(point[2] - recall) < Math.abs(best[2] - recall)) best = point;
  setThreshold(best[0]);
}

function drawPerMicrograph() {
  const plot = plotOn(canvas("per-micrograph"));
  if (!plot) return;
  plotted = store.rows.filter((row) => histograms.all[row.id]).map((row) => row.id);
  const { context, width, height, colour } = plot;
  const counts = plotted.map((id) => picksAbove(id) ?? 0);
  const most = Math.max(1, ...counts);
  const current = plotted.indexOf(sheet()?.id ?? "");
  const step = width / Math.max(1, plotted.length);
  counts.forEach((n, i) => {
    const tall = (n / most) * (height - 14);
    context.fillStyle = i === current ? colour("label") : colour("pick");
    context.fillRect(i * step, height - tall, Math.max(1, step - (step > 4 ? 1 : 0)), tall);
  });
  note(plot, `${most}`, 2, 10);
  const sorted = [...counts].sort((a, b) => a - b);
  el("per-micrograph-note").textContent = counts.length
    ? `Median ${sorted[Math.floor(sorted.length / 2)]}, ${counts.filter((n) => !n).length} without a pick. Click to go there.` : "";
}

/** @param {boolean} complete mark the micrograph as fully labelled and go on */
export async function accept(complete) {
  const one = sheet();
  if (!one || store.readOnly || !allPicks()) return;
  const picks = unlabelledPicks();
  const half = one.boxSize / 2;
  await together(async () => {
    // Accepting picks twice, or picks that lie where a label is, must not double particles.
    if (store.settings.filaments) edit({ add_lines: picks.map((pick) => [one.number(), asLabel(pick, one.boxSize)]) });
    else edit({ add: picks.map((pick) => [one.number(), Math.round(pick.x * 100) / 100, Math.round(pick.y * 100) / 100]) });
    if (complete && store.byId.get(one.id)?.flag !== "complete") await setFlag("complete");
  });
  toast(picks.length ? `${count(picks.length, "pick")} accepted as labels` : `Every pick has a label within ${half.toFixed(0)} px already`);
  if (complete) el("next").click();
}

export function nextDoubtful() {
  const picks = doubtfulPicks();
  if (!picks.length) return toast("No doubtful picks here.");
  const key = `${sheet()?.id}/${store.settings.threshold}`;
  doubtfulIndex = key === doubtfulSeen ? (doubtfulIndex + 1) % picks.length : 0;
  doubtfulSeen = key;
  const pick = picks[doubtfulIndex];
  goTo(pick.x, pick.y);
  toast(`Doubtful pick ${doubtfulIndex + 1} of ${picks.length}: confidence ${pick.confidence.toFixed(2)}`);
}

/** @param {(id: string) => void} open a micrograph */
export function startPicksPanel(open) {
  select("pick-set").addEventListener("change", () => {
    const id = select("pick-set").value;
    const own = store.status?.pick_sets.find((set) => set.id === id)?.threshold;
    setSettings({ pick_set: id, ...(own ? { threshold: own } : {}) });
    loadPicks();
    loadHistograms();
  });
  input("threshold").addEventListener("input", () => setThreshold(Number(input("threshold").value)));
  const numbers = /** @type {const} */ ([["minimum-distance", "minimum_distance_px"], ["smallest", "smallest_px"], ["largest", "largest_px"]]);
  for (const [id, key] of numbers) {
    input(id).value = String(store.settings[key] || "");
    input(id).addEventListener("change", () => setSettings({ [key]: Math.max(0, Number(input(id).value) || 0) }));
  }
  button("threshold-own").addEventListener("click", () => {
    const own = store.status?.pick_sets.find((set) => set.id === store.settings.pick_set)?.threshold;
    if (own) setSettings({ threshold: own });
  });
  button("accept").addEventListener("click", () => accept(false));
  button("accept-complete").addEventListener("click", () => accept(true));
  button("doubtful").addEventListener("click", nextDoubtful);
  canvas("histogram").addEventListener("pointerdown", (event) => {
    setThreshold((event.clientX - canvas("histogram").getBoundingClientRect().left) / canvas("histogram").clientWidth);
  });
  canvas("curve").addEventListener("pointerdown", (event) => {
    canvas("curve").setPointerCapture(event.pointerId);
    dragCurve(event);
  });
  canvas("curve").addEventListener("pointermove", dragCurve);
  canvas("per-micrograph").addEventListener("click", (event) => {
    const box = canvas("per-micrograph").getBoundingClientRect();
    const id = plotted[Math.floor(((event.clientX - box.left) / box.width) * plotted.length)];
    if (id) open(id);
  });
  watch(["picks", "settings", "labels", "histograms", "status", "current"], () => {
    refresh();
    loadCurve();
  });
  refresh();
}


