// @ts-check
// What is done to several micrographs of the list at once.
import { post } from "./api.js";
import { button, count, el, select, toast } from "./dom.js";
import { flush } from "./labels.js";
import { marked, markNone, whenMarked } from "./list.js";
import { changed, updateRows } from "./store.js";
import { act } from "./train_panel.js";

/** @param {string} flag "" takes the mark away */
async function flagAll(flag) {
  await flush();
  const rows = [], ids = [...marked];
  let problem = "";
  for (const id of ids) {
    try {
      rows.push((await post(`api/micrographs/${id}/flag`, { flag: flag || null })).row);
    } catch (error) {
      problem = /** @type {Error} */ (error).message;
    }
  }
  updateRows(rows);
  changed("labels");
  toast(problem ? `${rows.length} of ${count(ids.length, "micrograph")} changed: ${problem}` : `${count(rows.length, "micrograph")} changed`, problem ? "bad" : "");
}

function refresh() {
  el("marked").hidden = !marked.size;
  el("marked-count").textContent = `${count(marked.size, "micrograph")} chosen (Ctrl or Shift and click)`;
}

export function startMarked() {
  for (const node of el("marked").querySelectorAll("button[data-flag]")) {
    node.addEventListener("click", () => flagAll(/** @type {HTMLElement} */ (node).dataset.flag ?? ""));
  }
  button("marked-pick").addEventListener("click", () => act("api/pick", { model: select("pick-model").value, which: "these", micrographs: [...marked] }));
  button("marked-none").addEventListener("click", markNone);
  whenMarked(refresh);
}
