// The key: read once from `/#key=…`, kept for this tab alone, forgotten on demand.

const SLOT = "sluice-key";

// A WebSocket subprotocol must be an HTTP token, and the browser throws on anything else: look before it does.
const FORM = /^slk_[A-Za-z0-9._~-]{1,1000}$/;

/** True for text that has the form of a key. */
export function isKey(value) {
  return typeof value === "string" && FORM.test(value);
}

const ROLES = ["app", "viewer", "operator"];

/**
 * What a key may do, as it says itself; null for a form of key that this page does not know. Nothing hangs on it but
 * which buttons are worth showing: the server decides.
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
 * Takes a key out of the address, so that it stays in neither the bar nor the history.
 * @returns {string | null} what stood there
 */
export function takeFromAddress(location, history) {
  const key = new URLSearchParams(location.hash.replace(/^#/, "")).get("key");
  if (key === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return key.trim();
}

/** Keeps keys in `storage` (the tab's `sessionStorage`), or in memory alone where the browser forbids that. */
export class Keep {
  constructor(storage) {
    this.storage = storage;
    this.memory = null;
  }

  read() {
    try {
      return this.storage.getItem(SLOT) ?? this.memory;
    } catch {
      return this.memory;
    }
  }

  write(key) {
    this.memory = key;
    try {
      this.storage.setItem(SLOT, key);
    } catch {
      // Forbidden by the browser's settings: the key then lives as long as the page.
    }
  }

  forget() {
    this.memory = null;
    try {
      this.storage.removeItem(SLOT);
    } catch {
      // Nothing could be stored, so nothing is left.
    }
  }
}
