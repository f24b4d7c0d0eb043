// Handles the key that the page shows the status with: it is read once from `/#key=…`, kept for
// this tab only, and forgotten on demand.

const STORAGE_ITEM = "sluice-key";

// The key is sent as a WebSocket subprotocol, which must be an HTTP token: the browser throws on
// anything else.
const KEY_PATTERN = /^slk_[A-Za-z0-9._~-]{1,1000}$/;

/** Returns whether a value has the form of a key. */
export function isKey(value) {
  return typeof value === "string" && KEY_PATTERN.test(value);
}

const ROLES = ["app", "viewer", "operator"];

/**
 * Returns the role that a key carries, or null if its format is unknown to this page. The page uses
 * it only to decide which buttons to show: the server decides what the key may do.
 */
export function roleOf(key) {
  try {
    const bytes = atob(key.slice(4).replaceAll("-", "+").replaceAll("_", "/"));
    return bytes.charCodeAt(0) === 1 ? (ROLES[bytes.charCodeAt(1)] ?? null) : null;
  } catch {
    return null;
  }
}

/**
 * Removes a key from the page's address, so that it stays neither in the address bar nor in the
 * history.
 * @returns {string | null} the text that stood in the key's place, or null if there was none
 */
export function takeFromAddress(location, history) {
  const key = new URLSearchParams(location.hash.replace(/^#/, "")).get("key");
  if (key === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return key.trim();
}

/**
 * Keeps the key in `storage` (the tab's `sessionStorage`), or in memory where the browser forbids
 * that.
 */
export class KeyStore {
  constructor(storage) {
    this.storage = storage;
    this.memory = null;
  }

  read() {
    try {
      return this.storage.getItem(STORAGE_ITEM) ?? this.memory;
    } catch {
      return this.memory;
    }
  }

  write(key) {
    this.memory = key;
    try {
      this.storage.setItem(STORAGE_ITEM, key);
    } catch {
      // The browser's settings forbid storage, so the key lives as long as the page.
    }
  }

  forget() {
    this.memory = null;
    try {
      this.storage.removeItem(STORAGE_ITEM);
    } catch {
      // Storage is forbidden, so the key was never in it.
    }
  }
}
