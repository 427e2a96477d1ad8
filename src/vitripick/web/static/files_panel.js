// @ts-check
// The Files tab: labels and picks out, labels in.
import { getBlob, post, sendFile } from "./api.js";
import { button, count, el, input, make, select, settled, toast, thousands } from "./dom.js";
import { flush } from "./labels.js";
import { ofFilaments } from "./line_tools.js";
import { store, watch } from "./store.js";

/** @returns {{what: string, formats: string[], spacing_angstrom?: number}} */
function request() {
  const boxes = /** @type {HTMLInputElement[]} */ ([...el("export-formats").querySelectorAll("input:checked")]);
  const spacing = Number(input("export-spacing").value);
  return { what: select("export-what").value, formats: boxes.map((box) => box.value), ...(spacing > 0 ? { spacing_angstrom: spacing } : {}) };
}

const preview = settled(async () => {
  if (el("page-files").hidden || store.readOnly) return;
  const target = el("export-preview"), body = request();
  button("export").disabled = !body.formats.length;
  if (!body.formats.length) return target.replaceChildren("Choose a format.");
  try {
    const answer = await post("api/export/preview", body);
    const lines = answer.names.map((/** @type {string} */ name) => make("div", { textContent: name }));
    const more = answer.n_files - answer.names.length;
    if (more > 0) lines.push(make("div", { textContent: `… and ${thousands(more)} more` }));
    target.replaceChildren(make("div", { textContent: `${count(answer.n_files, "file")} of ${count(answer.n_micrographs, "micrograph")} into ${answer.folder}/` }), ...lines);
  } catch (error) {
    target.textContent = /** @type {Error} */ (error).message;
  }
}, 250);

async function doExport() {
  const result = el("export-result");
  button("export").disabled = true;
  result.textContent = "writing…";
  try {
    await flush();
    const answer = await post("api/export", request());
    offer(answer.folder);
    result.textContent = `${ofFilaments() ? count(answer.n_boxes, "filament") : count(answer.n_boxes, "box", "boxes")} of ${count(answer.n_micrographs, "micrograph")} written to ${answer.folder}`;
  } catch (error) {
    result.textContent = "";
    toast(/** @type {Error} */ (error).message, "bad");
  }
  button("export").disabled = false;
  preview();
}

/** Offer what was exported as one file. @param {string} folder of the export */
function offer(folder) {
  const node = button("download"), name = folder.split(/[\\/]/).pop() ?? "";
  node.hidden = false;
  node.onclick = async () => {
    node.disabled = true;
    try {
      const url = URL.createObjectURL(await getBlob(`api/exports/${name}`));
      make("a", { href: url, download: `vitripick-export-${name}.zip` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      toast(/** @type {Error} */ (error).message, "bad");
    }
    node.disabled = false;
  };
}

/** Make a set of picks the one that is shown. @param {string} set */
function showSet(set) {
  select("pick-set").value = set;
  select("pick-set").dispatchEvent(new Event("change"));
}

/** What an import put where. @param {[string, number][]} matched @param {number} nMicrographs @param {string} what */
function placed(matched, nMicrographs, what) {
  const names = matched.map(([name, n]) => `${name} (${n})`).join(", ");
  const more = nMicrographs > matched.length ? ` and ${thousands(nMicrographs - matched.length)} more` : "";
  return `${what} on ${names}${more}`;
}

/** Show files as a set of picks of its own. @param {Iterable<File>} files */
async function importPicks(files) {
  const result = el("import-result"), lines = [];
  // All files of one drop are one set.
  const batch = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  let set = "";
  for (const file of files) {
    try {
      const answer = await sendFile(file, batch);
      set = answer.pick_set;
      lines.push(`${file.name}: ${placed(answer.matched, answer.n_micrographs, count(answer.n_picks, "pick"))}`);
    } catch (error) {
      lines.push(`${file.name}: ${/** @type {Error} */ (error).message}`);
    }
  }
  result.replaceChildren(...lines.map((text) => make("div", { className: "hint", textContent: text })));
  return set;
}

/** @param {Iterable<File>} files @param {() => Promise<void>} reload */
async function importFiles(files, reload) {
  if (select("import-as").value === "picks") {
    const set = await importPicks(files);
    await reload();
    if (set) showSet(set);
    return;
  }
  const result = el("import-result");
  await flush();
  let labels = 0, outside = 0;
  const problems = [];
  const lines = [];
  for (const file of files) {
    try {
      const answer = await sendFile(file);
      labels += answer.n_labels;
      lines.push(`${file.name}: ${placed(answer.matched, answer.n_micrographs, count(answer.n_labels, ofFilaments() ? "filament" : "label"))}`);
      outside += answer.n_outside;
      if (answer.hint) problems.push(`${file.name}: ${answer.hint}`);
      if (answer.unreadable.length) problems.push(`${file.name}: these micrographs cannot be read: ${answer.unreadable.join(", ")}`);
      if (answer.unmatched.length) problems.push(`${file.name}: no micrograph for ${answer.unmatched.join(", ")}`);
      for (const { path, reason } of answer.passed_by) problems.push(`${file.name}: not used: ${path} (${reason})`);
    } catch (error) {
      problems.push(`${file.name}: ${/** @type {Error} */ (error).message}`);
    }
  }
  const left = outside ? `, ${outside} outside their micrograph left out` : "";
  result.replaceChildren(make("div", { textContent: `${count(labels, ofFilaments() ? "filament" : "label")} added${left}` }), ...[...problems, ...lines].map((text) => make("div", { className: "hint", textContent: text })));
  await reload();
}

/** @param {() => Promise<void>} reload the project and the micrograph on the screen */
export function startFilesPanel(reload) {
  el("project-folder").textContent = store.project.out;
  el("export-formats").append(...store.project.formats.map(({ name, description }) => make("label", { className: "check", title: description },
    make("input", { type: "checkbox", value: name, checked: name === "star" }), `${name}`, make("span", { className: "hint", textContent: description.replace(/^[^:]*: /, "") }))));
  el("export-formats").addEventListener("change", preview);
  select("export-what").addEventListener("change", preview);
  button("export").addEventListener("click", doExport);
  input("import").addEventListener("change", () => {
    importFiles(input("import").files ?? [], reload).then(() => (input("import").value = ""));
  });
  const page = el("page-files");
  page.addEventListener("dragover", (event) => {
    event.preventDefault();
    page.classList.add("drop-here");
  });
  page.addEventListener("dragleave", () => page.classList.remove("drop-here"));
  page.addEventListener("drop", (event) => {
    event.preventDefault();
    page.classList.remove("drop-here");
    if (event.dataTransfer && !store.readOnly) importFiles(event.dataTransfer.files, reload);
  });
  watch(["rows", "settings", "status"], preview);
}

export { preview as refreshPreview };
