// Tests the form of a key, its role, and where it is kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyStore, isKey, roleOf, takeFromAddress } from "../../www/key.js";
import { APP_KEY, KEY, OPERATOR_KEY } from "./fake-sluice.mjs";

const address = (hash) => ({ hash, pathname: "/", search: "?x=1" });
const noting = () => {
  const seen = [];
  return { seen, replaceState: (...call) => seen.push(call) };
};

test("a key in the address is read once and erased with no entry in the history", () => {
  const history = noting();
  assert.equal(takeFromAddress(address("#key=slk_abc-1"), history), "slk_abc-1");
  assert.deepEqual(history.seen, [[null, "", "/?x=1"]]);
});

test("an address without a key is left alone", () => {
  const history = noting();
  assert.equal(takeFromAddress(address("#main"), history), null);
  assert.equal(takeFromAddress(address(""), history), null);
  assert.deepEqual(history.seen, []);
});

test("only what can be sent as a subprotocol is taken for a key", () => {
  assert.ok(isKey("slk_AZaz09.-_~"));
  for (const wrong of ["slk_", "slk_a b", "slk_a,b", "slk_a\r\nb", "sk_abc", "", null, "slk_ä"]) assert.ok(!isKey(wrong), String(wrong));
});

test("where the browser forbids storage the key lives in memory", () => {
  const refuse = () => {
    throw new Error("denied");
  };
  for (const storage of [null, { getItem: refuse, setItem: refuse, removeItem: refuse }]) {
    const store = new KeyStore(storage);
    assert.equal(store.read(), null);
    store.write("slk_a");
    assert.equal(store.read(), "slk_a");
    store.forget();
    assert.equal(store.read(), null);
  }
});

test("a key says its role, and one of another form says nothing", () => {
  assert.deepEqual([APP_KEY, KEY, OPERATOR_KEY].map(roleOf), ["app", "viewer", "operator"]);
  assert.equal(roleOf("slk_AQAAAAAAa0nSABAwMTIzNDU2Nzg5YWJjZGVmBGFjbWUIY3JtLXN5bmNLZuBhSbXK7KM20alq-vct"), "app");
  assert.deepEqual(["slk_", "slk_x", "slk_~~", "slk_fake-viewer-key"].map(roleOf), [null, null, null, null]);
});
