// Reads the fields of documents, which may come from a newer or older Sluice. A field that is
// missing or of another type is unknown: no function here throws.

import { NONE } from "./format.js";

/** The longest name that is shown, characters; a policy allows 63. */
const LONGEST_TEXT = 80;

// Control characters, and characters that change the direction of writing, which can make a name
// look like another.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2066-\u2069]/g;

/** Returns whether a value is an object and no array. */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the value if it is an array, else an empty array. */
export function list(value) {
  return Array.isArray(value) ? value : [];
}

/** Returns the objects of a value that may be a list. */
export function objects(value) {
  return list(value).filter(isObject);
}

/** Returns the value if it is a number, else NaN. */
export function number(value) {
  return typeof value === "number" ? value : NaN;
}

/**
 * Returns a text for the page: at most `longest` characters, and without those that cannot be seen.
 */
export function text(value, longest = LONGEST_TEXT) {
  if (typeof value !== "string" || value === "") return NONE;
  const shown = value.replace(UNSEEN, "\ufffd");
  return shown.length > longest ? `${shown.slice(0, longest)}…` : shown;
}
