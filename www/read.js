// Reads what came over the network, perhaps from a newer or older Sluice: a field that is missing or of another type is
// unknown and never throws. Pure.

import { NONE } from "./format.js";

/** Longest name shown, characters: the policy allows 63. */
const LONGEST_TEXT = 80;

// Control characters, and those that turn the writing around to make a name look like another.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2066-\u2069]/g;

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function list(value) {
  return Array.isArray(value) ? value : [];
}

/** The objects of what may be a list. */
export function objects(value) {
  return list(value).filter(isObject);
}

export function number(value) {
  return typeof value === "number" ? value : NaN;
}

/** A text to be shown, of at most so many characters. */
export function text(value, longest = LONGEST_TEXT) {
  if (typeof value !== "string" || value === "") return NONE;
  const shown = value.replace(UNSEEN, "\ufffd");
  return shown.length > longest ? `${shown.slice(0, longest)}…` : shown;
}
