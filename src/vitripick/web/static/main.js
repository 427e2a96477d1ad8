// @ts-check
// Puts the parts together.
import { onConnection, post, takeKey } from "./api.js";
import { refreshClasses, startClassesPanel } from "./classes_panel.js";
import { picksToDraw, startCompare } from "./compare.js";
import { startFold } from "./fold.js";
import { startFilesPanel, refreshPreview } from "./files_panel.js";
import { button, el, toast } from "./dom.js";
import { startKeys } from "./keys.js";
import { startLabelPanel } from "./label_panel.js";
import { flush, isSaved, onSaveState, sheet } from "./labels.js";
import { firstId, neighbour, setCurrent, startList } from "./list.js";
import { refreshMontage, startMontage } from "./montage.js";
import { loadHistograms, pickBoxSize, shownPicks } from "./picks.js";
import { startPicksPanel } from "./picks_panel.js";
import { startProgress } from "./progress.js";
import { startRound } from "./round.js";
import { endLine, isDrawing, ofFilaments } from "./line_tools.js";
import { startFilaments } from "./filaments.js";
import { startMarked } from "./several.js";
import { startScatter } from "./scatter.js";
import { startSpectrum } from "./spectrum.js";
import { changed, openProject, sendOnLeaving, settingsAreSaved, store, updateRow, watch } from "./store.js";
import { startUndo } from "./session_undo.js";
import { startTools } from "./tools.js";
import { startTrainPanel } from "./train_panel.js";
import { currentPicture, openMicrograph, redraw, startViewer, timings, viewport } from "./viewer.js";

const TABS = ["label", "picks", "particles", "classes", "train", "files"];

/** @param {string} id */
async function open(id) {
  const row = store.byId.get(id);
  if (!row) return;
  if (isDrawing()) endLine(); // what is drawn is not lost
  setCurrent(id);
  history.replaceState(null, "", `#${id}`);
  const next = neighbour(1);
  await openMicrograph(id, next ? [next] : []);
  if (!row.seen && !store.readOnly) {
    post(`api/micrographs/${id}/seen`).then((answer) => updateRow(answer.row)).catch(() => {});
  }
}

/** @param {string} name */
function showTab(name) {
  for (const tab of TABS) {
    el(`page-${tab}`).hidden = tab !== name;
    const node = el(`tab-${tab}`);
    node.setAttribute("aria-selected", String(tab === name));
    node.tabIndex = tab === name ? 0 : -1;
  }
  // Plots that were out of sight have no size until now.
  changed("settings", "status");
  if (name === "particles") refreshMontage();
  if (name === "classes") refreshClasses();
  if (name === "files") refreshPreview();
}

function startTabs() {
  for (const tab of TABS) {
    el(`tab-${tab}`).addEventListener("click", () => showTab(tab));
    el(`tab-${tab}`).addEventListener("keydown", (event) => {
      const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
      if (!step) return;
      event.stopPropagation();
      const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
      showTab(next);
      el(`tab-${next}`).focus();
    });
  }
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = localStorage.getItem("vitripick-theme") ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = chosen;
    changed("settings", "status");
  };
  dark.addEventListener("change", apply);
  button("theme").addEventListener("click", () => {
    localStorage.setItem("vitripick-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  apply();
}

function startSaving() {
  const node = el("save-state");
  /** @type {"saved" | "saving" | "unsaved"} */
  let edits = "saved";
  const show = () => {
    const state = edits === "saved" && !settingsAreSaved() ? "saving" : edits;
    node.className = `dim ${state}`;
    const time = new Date().toLocaleTimeString("en-GB");
    node.dataset.state = state;
    node.textContent = state === "saved" ? `saved ${time}` : state === "saving" ? "saving…" : "not saved yet: trying again";
  };
  onSaveState((state) => {
    edits = state;
    show();
  });
  watch("sent", show);
  onConnection((reachable, entered) => {
    const banner = el("banner");
    banner.hidden = reachable && entered;
    banner.textContent = !reachable
      ? "The server does not answer. What you do is kept here and saved when it is back; leave this page open."
      : "The server was started again: open the new link it printed, in another tab. What is not saved yet is kept here.";
  });
  window.addEventListener("beforeunload", (event) => {
    if (!isSaved()) event.preventDefault();
  });
  window.addEventListener("pagehide", sendOnLeaving);
}

async function start() {
  await takeKey();
  await openProject();
  document.body.classList.toggle("read-only", store.readOnly);
  el("read-only-mark").hidden = !store.readOnly;
  el("project-name").textContent = store.project.out;
  startTheme();
  startFold();
  startTabs();
  startSaving();
  startViewer();
  startTools();
  startUndo(open);
  startLabelPanel();
  startPicksPanel(open);
  startCompare();
  startScatter();
  startMontage(open);
  startTrainPanel();
  startClassesPanel();
  startFilesPanel(async () => {
    await openProject();
    changed("rows", "settings");
    const id = sheet()?.id;
    if (id) await open(id);
  });
  if (ofFilaments()) startFilaments();
  startKeys();
  startRound();
  startSpectrum();
  startProgress();
  startList(open);
  startMarked();
  for (const [id, step] of /** @type {const} */ ([["previous", -1], ["next", 1]])) {
    button(id).addEventListener("click", () => {
      const other = neighbour(step);
      if (other) open(other);
      else toast(step > 0 ? "That was the last one in the list." : "This is the first one in the list.");
    });
  }
  loadHistograms();
  const asked = location.hash.slice(1);
  const first = store.byId.has(asked) ? asked : firstId();
  if (first) await open(first);
}

// For tests, and for a curious user's console.
Object.assign(window, { vitripick: { changed, store, viewport, timings, sheet, shownPicks, picksToDraw, pickBoxSize, currentPicture, open, flush, redraw } });

start().catch((error) => {
  el("banner").hidden = false;
  el("banner").textContent = error.message;
});
