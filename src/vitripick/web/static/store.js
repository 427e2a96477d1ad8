// @ts-check
// What all modules share: the project as the server has it, and who wants to know about changes.
import { get, post, ServerError } from "./api.js";
import { settled, toast } from "./dom.js";

/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Settings} Settings */
/** @typedef {import("./types.js").Status} Status */
/** @typedef {"rows" | "settings" | "status" | "current" | "labels" | "picks" | "view" | "histograms" | "focus" | "sent"} Topic */

/** @type {Map<Topic, Set<() => void>>} */
const watchers = new Map();

/** @param {any[]} raw @returns {Row} */
const asRow = ([id, name, labels, flag, seen, error]) => ({ id, name, labels, flag, seen: Boolean(seen), error });

export const store = {
  /** @type {Row[]} */ rows: [],
  /** @type {Map<string, Row>} */ byId: new Map(),
  /** @type {Settings} */ settings: /** @type {any} */ ({}),
  /** @type {Status | null} */ status: null,
  /** How many changes of the project are known here. */ changes: 0,
  /** @type {import("./types.js").ProjectAnswer} */ project: /** @type {any} */ ({}),
  readOnly: false,
};

/** @param {Topic | Topic[]} topics @param {() => void} watcher */
export function watch(topics, watcher) {
  for (const topic of [topics].flat()) {
    if (!watchers.has(topic)) watchers.set(topic, new Set());
    watchers.get(topic)?.add(watcher);
  }
}

/** @param {...Topic} topics */
export function changed(...topics) {
  const all = new Set(topics.flatMap((topic) => [...(watchers.get(topic) ?? [])]));
  for (const watcher of all) watcher();
}

export async function openProject() {
  const project = /** @type {import("./types.js").ProjectAnswer & Status} */ (await get("api/project"));
  store.project = project;
  store.readOnly = project.read_only;
  store.settings = project.settings;
  store.rows = project.micrographs.map(asRow);
  store.byId = new Map(store.rows.map((row) => [row.id, row]));
  store.status = project;
  store.changes = project.changes ?? 0;
}

/** @param {any[]} raw a row as the server sends it */
export const updateRow = (raw) => updateRows([raw]);

/** @param {any[][]} raw rows as the server sends them */
export function updateRows(raw) {
  for (const row of raw.map(asRow)) Object.assign(store.byId.get(row.id) ?? {}, row);
  if (raw.length) changed("rows");
}

/** @type {Partial<Settings>} */
let unsent = {};
let underWay = false;
let nSet = 0;
/** Settings on their way to the server. @type {Promise<void>} */
let sendingSettings = Promise.resolve();

/** Send what is not sent yet; a server that is away, or has no room, gets it later. @param {boolean} [leaving] the page */
async function sendUnsent(leaving = false) {
  const body = unsent;
  if (!Object.keys(body).length) return;
  unsent = {};
  underWay = true;
  try {
    await post("api/settings", body, leaving);
  } catch (error) {
    const status = error instanceof ServerError ? error.status : -1;
    if (status === 0 || status === 401 || status >= 500) {
      unsent = { ...body, ...unsent };
      setTimeout(() => send(), 2000);
    } else toast(String(/** @type {Error} */ (error).message), "bad");
  }
  underWay = false;
  changed("sent");
}

const sendNow = () => (sendingSettings = sendingSettings.then(() => sendUnsent()));
const send = settled(sendNow, 300);

/** @returns {Promise<void>} when the settings that are set now were sent */
export const settingsSent = () => sendNow();

export const settingsAreSaved = () => !underWay && !Object.keys(unsent).length;

/** How often settings were set here. @returns {number} */
export const timesSet = () => nSet;

/**
 * Take over what another window set; how it shows micrographs is its own.
 * @param {Settings} settings @param {number} since `timesSet()` when they were asked for: what was set here since is newer
 * @returns {boolean} whether they were taken
 */
export function hearSettings({ view, ...settings }, since) {
  if (!settingsAreSaved() || since !== nSet) return false;
  Object.assign(store.settings, settings);
  changed("settings");
  return true;
}

/** Send now what would wait, because the page is left. */
export const sendOnLeaving = () => void sendUnsent(true);

/**
 * Change settings of the project: at once here, soon on the disk. A read-only page keeps them to itself.
 * @param {Partial<Settings>} values
 */
export function setSettings(values) {
  nSet += 1;
  Object.assign(store.settings, values);
  if (!store.readOnly) {
    unsent = { ...unsent, ...values };
    send();
    changed("sent");
  }
  changed("settings");
}

/** @param {Record<string, any>} values how micrographs are shown */
export function setView(values) {
  setSettings({ view: { ...store.settings.view, ...values } });
  changed("view");
}
