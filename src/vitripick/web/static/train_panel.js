// @ts-check
// The Train tab: start, watch and stop what runs in the server's other process.
import { get, post } from "./api.js";
import { line, note, plotOn } from "./charts.js";
import { button, canvas, count, el, fill, make, select, toast } from "./dom.js";
import { flush, hear, setBoxSize, sheet } from "./labels.js";
import { forgetPicks, loadHistograms, loadPicks } from "./picks.js";
import { shareOf, timeLeft } from "./progress.js";
import { changed, hearSettings, store, timesSet, watch } from "./store.js";

/** @typedef {import("./types.js").Status} Status */

const BUSY_MS = 600, IDLE_MS = 5000, REFRESH_MS = 4000;
let refreshed = 0;
/** @type {Record<string, string>} */
const EFFORT_WORDS = { quick: "quick: about a minute", standard: "standard: some minutes", thorough: "thorough: three times standard" };
/** @type {number | undefined} */
let timer;
/** The run whose curves are shown when nothing runs. @type {{id: string, rows: Record<string, number>[]} | null} */
let looked = null;

/** @type {{start: string | null, model: string | null}} what the user chose */
const chosen = { start: null, model: null };

export async function poll() {
  clearTimeout(timer);
  let busy = false;
  const since = timesSet();
  try {
    busy = take(await get(`api/status?since=${store.changes}`), since);
  } catch {
    // The banner says it.
  }
  timer = setTimeout(poll, busy || !store.status?.machine ? BUSY_MS : IDLE_MS);
}

/** @param {Status} status @param {number} [since] `timesSet()` when it was asked for @returns {boolean} whether something runs */
function take(status, since = timesSet()) {
  const before = store.status;
  store.status = status;
  if (status.rows) {
    hear(status.rows, status.revisions ?? {});
    const settings = store.readOnly ? undefined : status.settings;
    const heard = settings && hearSettings(settings, since);
    // Settings that could not be taken over now come with the next status again.
    if (heard || !settings) store.changes = status.changes ?? 0;
    if (heard) {
      if (settings.box_size_px) setBoxSize(settings.box_size_px);
      changed("labels");
    }
  }
  const ended = before?.job?.running && !status.job?.running;
  // While many are picked, not at each one of them: the figures of all may be megabytes.
  const grown = before?.n_picked !== status.n_picked && performance.now() - refreshed > REFRESH_MS;
  if (grown || ended) {
    refreshed = performance.now();
    forgetPicks();
    if (ended && !store.readOnly && status.pick_set) {
      Object.assign(store.settings, { pick_set: status.pick_set, threshold: status.threshold });
      changed("settings");
    }
    loadPicks();
    loadHistograms();
  }
  if (ended && status.job) {
    const { stage, message, kind } = status.job;
    toast(stage === "done" ? `${kind === "train" ? "Training done: look at the picks" : kind === "classes" ? "The picks are sorted: look at the classes" : "Picking done: look at the picks"}` : message || stage, stage === "failed" ? "bad" : "");
  }
  changed("status");
  return Boolean(status.job?.running);
}

/** Start or stop what runs. @param {string} path @param {unknown} [body] */
export async function act(path, body) {
  try {
    await flush();
    take(await post(path, body));
  } catch (error) {
    toast(/** @type {Error} */ (error).message, "bad");
  }
  poll();
}

function refresh() {
  const status = store.status;
  if (!status) return;
  const { job, machine, runs } = status;
  const models = [
    ...(machine?.released ?? []).map(({ name }) => ({ value: `released:${name}`, text: `${name} (bundled)` })),
    ...runs.filter((run) => run.has_model).reverse().map((run) => ({ value: `run:${run.id}`, text: `run ${run.id}: ${run.title}` })),
  ];
  if (machine && machine.released.length) models.sort((a, b) => Number(b.value === `released:${machine.default}`) - Number(a.value === `released:${machine.default}`));
  // Until the user chooses: the bundled model to start from, the newest one to pick with.
  // Before the bundled models are known, "scratch" would be the only choice, and the wrong one.
  const starts = machine ? [...models, ...(store.settings.filaments ? [] : [{ value: "scratch", text: "scratch: only these labels" }])] : [{ value: "", text: "the models are being read…" }];
  fill(select("train-start"), starts, chosen.start ?? models[0]?.value);
  fill(select("pick-model"), models, chosen.model ?? models.find(({ value }) => value.startsWith("run:"))?.value ?? null);
  const where = machine ? (machine.device === "cuda" ? ", on a GPU faster" : "") : "";
  fill(select("train-effort"), Object.keys(store.project.efforts).map((name) => ({ value: name, text: (EFFORT_WORDS[name] ?? name) + where })));
  const used = store.rows.filter((row) => row.flag !== "excluded" && (row.labels || row.flag === "empty"));
  const n = used.reduce((sum, row) => sum + row.labels, 0);
  const open = used.filter((row) => row.labels && row.flag !== "complete").length;
  const unmarked = open === used.length ? (open === 1 ? "It is not" : "None is") : open === 1 ? "One of them is not" : `${open} of them are not`;
  el("train-data").textContent = store.settings.filaments
    ? `${count(n, "filament")} on ${count(used.length, "micrograph")}. Every filament of these micrographs should be labelled: the rest is taught as background.`
    : `${count(n, "label")} on ${count(used.length, "micrograph")}.`
    + (open ? ` ${unmarked} marked fully labelled: what lies between the labels there teaches little.` : "");
  const running = Boolean(job?.running);
  button("train").disabled = running || store.readOnly || !machine;
  button("stop").hidden = !running;
  for (const id of ["pick-this", "pick-all"]) button(id).disabled = running || !models.length;
  showJob();
  showRuns();
}

function showJob() {
  const job = store.status?.job;
  el("job").hidden = !job && !looked;
  el("job-chip").hidden = !job?.running;
  if (job && (job.running || !looked)) {
    const training = job.stage === "training" || (!job.running && job.steps > 0);
    const share = shareOf(job), left = timeLeft(job);
    const words = job.stage === "training" ? `training, step ${job.step} of ${job.steps}`
      : job.stage === "picking" ? `picking, ${job.done} of ${count(job.total, "micrograph")}`
        : job.stage === "classes" ? job.words || "sorting"
        : job.stage === "starting" ? "starting…" : `${job.stage}${job.message ? `: ${job.message}` : ""}`;
    el("job-stage").textContent = `${job.kind === "classes" ? "Classes" : `Run ${job.run}`}: ${words} · ${clock(job.seconds)}${left ? ` · ${left}` : ""}`;
    el("job-chip").textContent = left ? `${words}, ${left}` : words;
    el("job-progress").setAttribute("value", String(job.running ? share : 1));
    el("job-progress").hidden = !job.running;
    canvas("loss").hidden = !training && !job.losses.length;
    drawLoss(job.losses, job.rows, job.steps);
    showFigures(job.rows);
  } else if (looked) {
    el("job-stage").textContent = `Run ${looked.id}`;
    el("job-progress").hidden = true;
    canvas("loss").hidden = false;
    drawLoss(looked.rows.map((row) => [row.step, row.train_loss]), looked.rows, looked.rows[looked.rows.length - 1]?.step ?? 1);
    showFigures(looked.rows);
  }
}

/** @param {Record<string, number>[]} rows */
function showFigures(rows) {
  const last = rows[rows.length - 1];
  el("job-figures").textContent = last
    ? `Validation after step ${last.step}: F1 ${last.validation_f1.toFixed(3)}, AUC ${last.validation_auc.toFixed(3)}, threshold ${last.threshold.toFixed(2)}. Labels that are incomplete make these lower than the model is.` : "";
}

/**
 * @param {[number, number][]} losses
 * @param {Record<string, number>[]} rows
 * @param {number} steps
 */
function drawLoss(losses, rows, steps) {
  const plot = plotOn(canvas("loss"));
  if (!plot) return;
  const { width, height, colour } = plot;
  const x = (/** @type {number} */ step) => 4 + (step / Math.max(1, steps)) * (width - 8);
  const most = Math.max(0.001, ...losses.slice(2).map(([, loss]) => loss));
  const y = (/** @type {number} */ share) => height - 18 - Math.min(1, share) * (height - 30);
  line(plot, [[4, y(0)], [width - 4, y(0)]], colour("line"), 1);
  // Single steps jump; what counts is where they go.
  let smooth = losses[0]?.[1] ?? 0;
  line(plot, losses.map(([step, loss]) => [x(step), y((smooth = smooth * 0.85 + loss * 0.15) / most)]), colour("pick"), 1.6);
  line(plot, rows.map((row) => [x(row.step), y(row.validation_f1)]), colour("label"), 2);
  for (const row of rows) {
    plot.context.beginPath();
    plot.context.arc(x(row.step), y(row.validation_f1), 3, 0, 2 * Math.PI);
    plot.context.fillStyle = colour("label");
    plot.context.fill();
  }
  plot.context.fillStyle = colour("pick");
  plot.context.textAlign = "left";
  plot.context.fillText(`loss ${smooth.toFixed(2)}`, 4, height - 4);
  plot.context.fillStyle = colour("label");
  plot.context.fillText("validation F1", 74, height - 4);
  note(plot, `step ${steps}`, width - 4, height - 4, "right");
}

/** @param {number} seconds */
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function showRuns() {
  const status = store.status;
  const key = JSON.stringify([status?.runs, status?.job?.running]);
  const list = el("runs");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...[...(status?.runs ?? [])].reverse().map((run) => {
    const row = make("div", { className: "row" });
    /** @param {string} text @param {() => void} action */
    const add = (text, action) => row.append(Object.assign(make("button", { textContent: text }), { onclick: action }));
    const busy = Boolean(status?.job?.running);
    if (!store.readOnly && !busy && (run.outcome === "interrupted" || run.outcome === "stopped")) add("Go on", () => act(`api/runs/${run.id}/resume`));
    if (!store.readOnly && !busy && run.has_model) add("Pick all", () => act("api/pick", { model: `run:${run.id}`, which: "all" }));
    if (run.has_picks) add("Show picks", () => {
      select("pick-set").value = run.id;
      select("pick-set").dispatchEvent(new Event("change"));
      el("tab-picks").click();
    });
    if (run.has_model) add("Curves", async () => {
      looked = { id: run.id, rows: (await get(`api/runs/${run.id}/curves`)).rows };
      showJob();
    });
    const figures = run.validation ? ` · validation F1 ${run.validation.f1.toFixed(3)}` : "";
    return make("li", {},
      make("div", { className: "title", textContent: `${run.id} · ${run.title}` }),
      make("div", { className: "hint", textContent: `${run.outcome}${run.message ? `: ${run.message}` : ""}${figures}` }), row);
  }));
  if (!status?.runs.length) list.append(make("li", { className: "hint", textContent: "None yet." }));
}

export function startTrainPanel() {
  select("train-start").addEventListener("change", () => (chosen.start = select("train-start").value));
  select("pick-model").addEventListener("change", () => (chosen.model = select("pick-model").value));
  button("train").addEventListener("click", () => {
    looked = null;
    act("api/train", {
      start: select("train-start").value, effort: select("train-effort").value,
      then_pick: select("train-pick").value, micrograph: sheet()?.id ?? null,
    });
  });
  button("stop").addEventListener("click", () => act("api/stop"));
  button("pick-this").addEventListener("click", () => act("api/pick", { model: select("pick-model").value, which: "this", micrograph: sheet()?.id ?? null }));
  button("pick-all").addEventListener("click", () => act("api/pick", { model: select("pick-model").value, which: "all" }));
  button("job-chip").addEventListener("click", () => el("tab-train").click());
  watch(["status", "rows"], refresh);
  refresh();
  poll();
}


