// @ts-check
// What the page says and shows in a project of filaments.
import { el, make } from "./dom.js";
import { startLineTools } from "./line_tools.js";

/** Tabs that are about particles alone. */
const OF_PARTICLES = ["particles", "classes"];
const HELP = [
  "click along a filament: draw it; Enter or a double click ends it",
  "click a traced one: accept it",
  "drag a point or a line: bend it; an end onto another end: join",
  "Shift-click: cut; Ctrl-click: one point more",
  "right-click, Alt-click or Del: take away",
];

export function startFilaments() {
  startLineTools();
  document.body.classList.add("filaments");
  for (const tab of OF_PARTICLES) el(`tab-${tab}`).hidden = true;
  el("round").hidden = true;
  el("box-title").textContent = "Width";
  el("box-hint").textContent = "Of a filament, from edge to edge; the band of the chosen one shows it.";
  for (const [id, what] of [["box-smaller", "Smaller"], ["box-larger", "Larger"]]) el(id).setAttribute("aria-label", `${what} width`);
  el("tool-help").replaceChildren(...HELP.map((text) => make("li", { textContent: text })));
  el("tools").hidden = true;
  el("clear-labels").textContent = "Delete all filaments here";
  el("show-labels-text").textContent = "filaments";
  el("show-picks-text").textContent = "traced filaments";
  el("picks-none").textContent = "None traced yet. Train a model, trace with the bundled one (tab Train), or start with --picks.";
  el("export-spacing-row").hidden = false;
  el("flag-complete").title = "Every filament is labelled (F)";
  el("flag-empty").title = "No filament here: a negative example (E)";
  el("overlay").setAttribute("aria-label", "Micrograph viewer: clicks draw a filament, K adds a point of one, Enter ends it, Page Down goes to the next filament, End to its points, arrows move them or the micrograph, plus and minus zoom");
}
