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

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    tell(false, true);
    throw new ServerError("the server does not answer", 0);
  }
  tell(true, response.status !== 401);
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new ServerError(answer.error ?? `the server answered ${response.status}`, response.status);
  }
  return response;
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const get = async (path, signal) => (await ask(path, { signal })).json();

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>}
 */
export const getBlob = async (path, signal) => (await ask(path, { signal })).blob();

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/**
 * @param {File} file
 * @returns {Promise<any>}
 */
export async function sendFile(file) {
  const headers = { "Content-Type": "application/octet-stream" };
  const path = `api/import?name=${encodeURIComponent(file.name)}`;
  return (await ask(path, { method: "POST", headers, body: file })).json();
}
