// @ts-check
// The Classes tab: averages of what was picked. A click says which are good; picks are culled by that, or a model learns it.
import { get, getBlob, post } from "./api.js";
import { button, count, el, input, make, thousands, toast } from "./dom.js";
import { flush } from "./labels.js";
import { record, together } from "./session_undo.js";
import { setSettings, settingsSent, store, watch } from "./store.js";
import { act, poll } from "./train_panel.js";

/** @typedef {import("./types.js").OneClass} OneClass */
/** @typedef {import("./types.js").ClassesAnswer} ClassesAnswer */
/** @typedef {import("./types.js").ClassChoice} ClassChoice */

/** @type {{set: string | null, answer: ClassesAnswer | null, averages: ImageBitmap | null, problem: string}} */
let shown = { set: null, answer: null, averages: null, problem: "" };
let wasSorting = false;
let drawn = "";
/** The class whose button Tab goes to. */
let current = 0;

const isOpen = () => !el("page-classes").hidden;
const tiles = () => /** @type {HTMLButtonElement[]} */ ([...el("classes-sheet").querySelectorAll("button")]);
/** @param {OneClass} one */
const looksGood = (one) => one.guess === "particle";

/** What the user finds good of the classes that are shown; until they say so, what is suggested. @returns {ClassChoice | null} */
function choice() {
  const { set, answer } = shown;
  if (!set || !answer?.key) return null;
  const kept = store.settings.class_choices?.[set];
  if (kept?.key === answer.key) return kept;
  return { key: answer.key, good: answer.classes.filter(looksGood).map(({ number }) => number), cull: false };
}

/** @param {Partial<ClassChoice>} values */
function choose(values) {
  const now = choice();
  if (!now || !shown.set) return;
  setSettings({ class_choices: { ...store.settings.class_choices, [shown.set]: { ...now, ...values } } });
}

/** @param {number} number */
function toggle(number) {
  const good = new Set(choice()?.good);
  if (!good.delete(number)) good.add(number);
  choose({ good: [...good].sort((a, b) => a - b) });
}

async function load() {
  const set = store.settings.pick_set;
  if (!set) {
    shown = { set, answer: null, averages: null, problem: "" };
    return refresh();
  }
  try {
    const answer = /** @type {ClassesAnswer} */ (await get(`api/classes/${set}`));
    const averages = answer.key ? await createImageBitmap(await getBlob(`api/classes/${set}/averages`)) : null;
    if (set !== store.settings.pick_set) return;
    shown = { set, answer, averages, problem: "" };
  } catch (error) {
    shown = { set, answer: null, averages: null, problem: /** @type {Error} */ (error).message };
  }
  drawn = "";
  refresh();
}

/** @param {OneClass} one */
function tile(one) {
  const { answer, averages } = shown, side = answer?.side_px ?? 0, columns = answer?.columns ?? 1;
  const picture = /** @type {HTMLCanvasElement} */ (make("canvas", { width: side, height: side }));
  picture.setAttribute("aria-hidden", "true");
  const at = one.number - 1;
  if (averages) picture.getContext("2d")?.drawImage(averages, (at % columns) * side, Math.floor(at / columns) * side, side, side, 0, 0, side, side);
  const share = `${(100 * one.share).toPrecision(2).replace(/\.0$/, "")} %`;
  const sure = one.mean_confidence === null ? "" : one.mean_confidence.toFixed(2);
  const finest = one.resolution_angstrom !== null ? `${one.resolution_angstrom.toFixed(0)} Å` : one.resolution_px !== null ? `${one.resolution_px.toFixed(0)} px` : "";
  const hidden = (/** @type {string} */ textContent) => make("span", { className: "visually-hidden", textContent });
  const node = make("button", { className: "class-tile", title: `${count(one.n_particles, "pick")}${finest && `, about ${finest}`}` },
    picture,
    make("span", { className: "row number" }, make("span", {}, hidden("class "), make("b", { textContent: String(one.number) })), make("span", { textContent: share })),
    make("span", { className: "row number dim" }, make("span", { textContent: one.guess }), make("span", {}, hidden("confidence "), sure)));
  node.addEventListener("click", () => {
    current = at;
    toggle(one.number);
  });
  return node;
}

function words() {
  const { set, answer, problem } = shown, good = choice()?.good ?? [];
  if (problem) return problem;
  if (!set) return "No picks yet.";
  if (!answer?.key) return "These picks are not sorted yet, or have changed since. Sorting takes a minute or two.";
  const n = answer.classes.filter(({ number }) => good.includes(number)).reduce((sum, one) => sum + one.n_particles, 0);
  const lost = answer.failures.length ? ` ${count(answer.failures.length, "micrograph")} could not be read.` : "";
  return `${count(answer.n_particles, "pick")} at ≥ ${answer.threshold?.toFixed(3)} in ${count(answer.classes.length, "class", "classes")}; ${thousands(good.length)} good, with ${count(n, "pick")}.${lost} ${answer.contrast[0].toUpperCase()}${answer.contrast.slice(1)}.`;
}

function refresh() {
  const { answer } = shown, job = store.status?.job, now = choice();
  const there = Boolean(answer?.key), busy = Boolean(job?.running);
  button("classes-sort").disabled = busy || !shown.set || store.readOnly;
  button("classes-sort").textContent = there ? "Sort again" : "Sort the picks";
  el("classes-note").textContent = busy && job?.kind === "classes" ? `${job.words || "starting"}${job.total ? `, ${job.done} of ${count(job.total, "micrograph")}` : ""}…` : words();
  el("classes-some").hidden = !there;
  if (!there || !answer || !now) return;
  const key = `${shown.set}/${answer.key}`;
  if (drawn !== key) {
    drawn = key;
    current = 0;
    el("classes-sheet").replaceChildren(...answer.classes.map(tile));
  }
  tiles().forEach((node, i) => {
    node.setAttribute("aria-pressed", String(now.good.includes(answer.classes[i].number)));
    node.tabIndex = i === current ? 0 : -1;
  });
  input("classes-cull").checked = now.cull;
  button("classes-teach").disabled = busy || store.readOnly;
}

async function teach() {
  choose({});
  await flush();
  await settingsSent();
  try {
    const answer = await post(`api/classes/${shown.set}/teach`);
    await poll();
    await together(async () => {
      for (const id of answer.micrographs) record({ kind: "edit", id });
    });
    toast(answer.micrographs.length
      ? `${count(answer.n_labels, "label")} and ${count(answer.n_rejected, "known non-particle")} on ${count(answer.micrographs.length, "micrograph")}: train with them in the tab Train`
      : "Every pick is a label or a known non-particle already.");
  } catch (error) {
    toast(/** @type {Error} */ (error).message, "bad");
  }
}

/** @param {KeyboardEvent} event */
function onArrow(event) {
  const all = tiles(), across = all.filter((node) => node.offsetTop === all[0].offsetTop).length;
  /** @type {Record<string, number>} */
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
  if (!(event.key in steps)) return;
  event.preventDefault();
  event.stopPropagation();
  current = Math.min(all.length - 1, Math.max(0, current + steps[event.key]));
  all.forEach((node, i) => (node.tabIndex = i === current ? 0 : -1));
  all[current].focus();
}

export function startClassesPanel() {
  button("classes-sort").addEventListener("click", async () => {
    await settingsSent();
    act(`api/classes/${store.settings.pick_set}`, { n: Math.min(200, Math.max(1, Number(input("classes-n").value) || 30)) });
  });
  el("classes-sheet").addEventListener("keydown", onArrow);
  button("classes-suggested").addEventListener("click", () => choose({ good: (shown.answer?.classes ?? []).filter(looksGood).map(({ number }) => number) }));
  button("classes-all").addEventListener("click", () => choose({ good: (shown.answer?.classes ?? []).map(({ number }) => number) }));
  button("classes-none").addEventListener("click", () => choose({ good: [] }));
  input("classes-cull").addEventListener("change", () => choose({ cull: input("classes-cull").checked }));
  button("classes-teach").addEventListener("click", teach);
  watch(["settings", "status"], () => {
    const job = store.status?.job, sorting = Boolean(job?.running && job.kind === "classes");
    const over = wasSorting && !sorting;
    wasSorting = sorting;
    if (!isOpen()) return;
    if (over || shown.set !== store.settings.pick_set) load();
    refresh();
  });
}

export { load as refreshClasses };
