// @ts-check
// The way to the server. Errors carry the server's own sentence.

export class ServerError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0: the server did not answer
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// The second secret beside the cookie. Browsers send cookies to every port of a host, but show this to no other port.
const KEY = "vitripick-key";
const windows = new BroadcastChannel(KEY);

/** @returns {string} */
const key = () => sessionStorage.getItem(KEY) ?? "";

/** Take the key out of the address of the page, or from another window of the same server. @returns {Promise<void>} */
export async function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  windows.addEventListener("message", ({ data }) => {
    if (typeof data === "string" && data) sessionStorage.setItem(KEY, data);
    else if (key()) windows.postMessage(key());
  });
  if (given) {
    history.replaceState(null, "", location.pathname);
    sessionStorage.setItem(KEY, given);
    windows.postMessage(given);
  } else if (!key()) {
    windows.postMessage("");
    for (let i = 0; i < 20 && !key(); i++) await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** @type {Set<(reachable: boolean, entered: boolean) => void>} */
const listeners = new Set();
let last = "true,true";

/**
 * Called whenever the server is lost or found, or wants a new link.
 * @param {(reachable: boolean, entered: boolean) => void} listener
 */
export const onConnection = (listener) => listeners.add(listener);

/**
 * @param {boolean} reachable
 * @param {boolean} entered
 */
function tell(reachable, entered) {
  const now = `${reachable},${entered}`;
  if (now === last) return;
  last = now;
  for (const listener of listeners) listener(reachable, entered);
}

// Invisible characters that reverse or hide the text next to them. File names may hold them.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** What the server says, with a box for each character that would not be seen. @param {Response} response @returns {Promise<any>} */
async function parsed(response) {
  const text = await response.text();
  const doubtful = text.search(UNSEEN) >= 0 || text.includes("\\u");
  return JSON.parse(text, doubtful ? (_, value) => (typeof value === "string" ? value.replace(UNSEEN, "\u25a1") : value) : undefined);
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options, headers: { ...options?.headers, "X-Vitripick-Key": key() } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    tell(false, true);
    throw new ServerError("the server does not answer", 0);
  }
  tell(true, response.status !== 401);
  if (!response.ok) {
    const answer = await parsed(response).catch(() => ({}));
    throw new ServerError(answer.error ?? `the server answered ${response.status}`, response.status);
  }
  return response;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const get = async (path, signal) => parsed(await ask(path, { signal }));

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>}
 */
export const getBlob = async (path, signal) => (await ask(path, { signal })).blob();

/**
 * @param {string} path
 * @param {unknown} [body]
 * @param {boolean} [leaving] let it arrive although the page goes
 * @returns {Promise<any>}
 */
export async function post(path, body = {}, leaving = false) {
  const headers = { "Content-Type": "application/json" };
  return parsed(await ask(path, { method: "POST", headers, body: JSON.stringify(body), keepalive: leaving }));
}

/**
 * @param {File} file
 * @param {string} [batch] the set of picks that the file belongs to; without one it brings labels
 * @returns {Promise<any>}
 */
export async function sendFile(file, batch = "") {
  const headers = { "Content-Type": "application/octet-stream" };
  const path = `api/import?name=${encodeURIComponent(file.name)}${batch ? `&picks=${batch}` : ""}`;
  return parsed(await ask(path, { method: "POST", headers, body: file }));
}
