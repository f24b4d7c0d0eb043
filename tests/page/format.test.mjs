// Tests how numbers and times become text.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../www/model/format.js";

const NOW = Date.parse("2026-11-21T14:03:22Z");
const HOUR = 3_600_000;

test("counts have thousands separators, and unknown ones are a dash", () => {
  assert.equal(format.count(0), "0");
  assert.equal(format.count(31_204), "31,204");
  assert.equal(format.count(NaN), "–");
  assert.equal(format.count(undefined), "–");
});

test("a noun agrees with its number", () => {
  assert.equal(format.counted(1, "call"), "1 call");
  assert.equal(format.counted(0, "call"), "0 calls");
});

test("bytes are in powers of a thousand and never show four digits", () => {
  assert.equal(format.bytes(999), "999 B");
  assert.equal(format.bytes(1_500), "1.5 kB");
  assert.equal(format.bytes(999_600), "1.0 MB");
  assert.equal(format.bytes(212_400_000), "212 MB");
});

test("100 % means spent and 0 % means nothing", () => {
  assert.equal(format.percent(0.9999), "99 %");
  assert.equal(format.percent(1), "100 %");
  assert.equal(format.percent(1.5), "150 %");
  assert.equal(format.percent(0.00001), "< 0.1 %");
  assert.equal(format.percent(0), "0 %");
  assert.equal(format.percent(0.0774), "7.7 %");
  assert.equal(format.percent(0.05), "5 %");
});

test("a span has at most two units", () => {
  assert.equal(format.span(0), "0 s");
  assert.equal(format.span(640), "0.6 s");
  assert.equal(format.span(31_000), "31 s");
  assert.equal(format.span(59_800), "1 m");
  assert.equal(format.span(200_000), "3 m 20 s");
  assert.equal(format.span(2 * HOUR + 300_000), "2 h 05 m");
  assert.equal(format.span(27 * HOUR), "1 d 3 h");
  assert.equal(format.span(-5), "0 s");
});

test("a countdown is in whole seconds, rounded up", () => {
  assert.equal(format.countdown(67), "1 s");
  assert.equal(format.countdown(3_001), "4 s");
  assert.equal(format.countdown(42_000), "42 s");
});

test("a moment today or soon is a time, a later one has its day", () => {
  assert.equal(format.moment(NOW + 3 * HOUR, NOW, "UTC"), "17:03");
  assert.equal(format.moment(NOW + 16 * HOUR, NOW, "UTC"), "06:03");
  assert.equal(format.moment(NOW + 20 * HOUR, NOW, "UTC"), "Sun 10:03");
  assert.equal(format.moment(NOW + 9 * 24 * HOUR, NOW, "UTC"), "30 Nov, 14:03");
  assert.equal(format.moment(NaN, NOW, "UTC"), "–");
});

test("times are the viewer's, not the server's", () => {
  assert.equal(format.clock(NOW, "UTC"), "14:03:22");
  assert.equal(format.clock(NOW, "Asia/Kolkata"), "19:33:22");
  assert.equal(format.clock(Date.parse("2026-11-21T00:00:00Z"), "UTC"), "00:00:00");
});

test("what is no time is NaN", () => {
  assert.ok(Number.isNaN(format.parseTime(undefined)));
  assert.ok(Number.isNaN(format.parseTime(12)));
  assert.ok(Number.isNaN(format.parseTime("soon")));
});
