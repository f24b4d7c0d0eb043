/** The middle one; of an even number, the lower of the two in the middle. */
export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)];

/** What so large a part of them does not exceed. */
export const percentile = (numbers, part) => numbers.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(part * numbers.length) - 1)];
