// @ts-check
// The first round, step by step, and what the mark of a micrograph means.
import { el, input, make } from "./dom.js";
import { sheet } from "./labels.js";
import { openFirst, sortBy } from "./list.js";
import { allPicks } from "./picks.js";
import { store, watch } from "./store.js";
import { setTool } from "./tools.js";

/** So many labels are enough for a first training: ten or twenty, docs/label.md says. */
const ENOUGH = 20;
const KEPT = "vitripick-round-closed";

/** The training whose picks were looked at. @type {string | null} */
let looked = null;

const nLabels = () => store.rows.reduce((sum, row) => sum + (row.flag === "excluded" ? 0 : row.labels), 0);
const lastModel = () => [...(store.status?.runs ?? [])].reverse().find((run) => run.has_model)?.id ?? null;

/** @type {{name: string, hint: string, text: () => string, done: () => boolean, go: () => void}[]} */
const STEPS = [
  {
    name: "size", hint: "Set the box snugly around a particle.",
    text: () => "Set the box size", done: () => store.settings.box_size_px !== null,
    go: () => (el("tab-label").click(), input("box-px").focus()),
  },
  {
    name: "click", hint: "Click particles on the micrograph, here or on several.",
    text: () => `Click ${ENOUGH} particles (${Math.min(ENOUGH, nLabels())}/${ENOUGH})`, done: () => nLabels() >= ENOUGH,
    go: () => (setTool("label"), el("overlay").focus()),
  },
  {
    name: "train", hint: "Train a model on the labels, and let it pick this micrograph.",
    text: () => "Train", done: () => lastModel() !== null,
    go: () => (el("tab-train").click(), el("train").focus()),
  },
  {
    name: "look", hint: "Move the threshold, right-click what is not a particle, click what was missed.",
    text: () => "Look at the picks", done: () => looked !== null && looked === lastModel(),
    go: () => el("tab-picks").click(),
  },
  {
    name: "next", hint: "Open the micrograph that the model is least sure of, correct it, and train again.",
    text: () => "Next one", done: () => false,
    go: () => (sortBy("doubt"), openFirst()),
  },
];

function refresh() {
  if (!el("page-picks").hidden && allPicks()) looked = lastModel();
  const now = STEPS.findIndex((step) => !step.done());
  STEPS.forEach((step, i) => {
    const node = el(`round-${step.name}`);
    node.textContent = `${step.done() ? "✓" : i + 1} ${step.text()}`;
    if (i === now) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  });
  el("round-hint").textContent = STEPS[now]?.hint ?? "";
  const one = sheet(), row = one && store.byId.get(one.id);
  el("flag-hint").textContent = !row ? "" : (store.settings.filaments ? FILAMENT_FLAGS : FLAGS)[row.flag ?? (row.labels ? "some" : "none")];
}

/** @type {Record<string, string>} */
const FLAGS = {
  complete: "Fully labelled: what has no label here is taught as background.",
  empty: "Empty: all of it is taught as background.",
  excluded: "Excluded: not taught, not picked, not judged, not exported.",
  some: "Not marked yet: what lies between the labels teaches little. Is every particle labelled? Press ✓.",
  none: "Not marked yet. No particle on it at all? Press ∅, and it teaches background.",
};

/** The same for filaments: training takes all that has no label for background, with or without a mark. @type {Record<string, string>} */
const FILAMENT_FLAGS = {
  ...FLAGS,
  complete: "Fully labelled: the tab Picks judges by these micrographs.",
  some: "Training takes what has no label here for background. Is every filament labelled? Press ✓.",
  none: "Not labelled yet. No filament on it at all? Press ∅, and it teaches background.",
};

export function startRound() {
  el("round-steps").append(...STEPS.map((step) => make("li", {},
    Object.assign(make("button", { id: `round-${step.name}`, title: step.hint }), { onclick: step.go }))));
  const box = /** @type {HTMLDetailsElement} */ (el("round"));
  box.open = localStorage.getItem(KEPT) === null;
  box.addEventListener("toggle", () => (box.open ? localStorage.removeItem(KEPT) : localStorage.setItem(KEPT, "1")));
  watch(["rows", "labels", "settings", "status", "picks", "current"], refresh);
  refresh();
}
