// A limiter as the platform's documentation shows it: a token bucket in the memory of one object,
// which tells how long to wait for the next token
// (https://developers.cloudflare.com/durable-objects/examples/build-a-rate-limiter/). In the
// example the Worker may refuse a call or sleep for that time. Here it sleeps, as callers of a
// vendor want.
import { DurableObject } from "cloudflare:workers";

export class Limiter extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.most = Number(env.BURST);
    this.tokens = this.most;
    this.perMillisecond = Number(env.PER_SECOND) / 1000;
    this.at = Date.now();
  }

  // Takes a token, which may be one that is not there yet. Returns the milliseconds until it is.
  take() {
    const now = Date.now();
    this.tokens = Math.min(this.most, this.tokens + (now - this.at) * this.perMillisecond) - 1;
    this.at = now;
    return this.tokens >= 0 ? 0 : Math.ceil(-this.tokens / this.perMillisecond);
  }
}

export default {
  async fetch(request, env) {
    const wait = await env.LIMITER.getByName("vendor").take();
    if (wait > 0) await new Promise((wake) => setTimeout(wake, wait));
    const { pathname, search } = new URL(request.url);
    return fetch(env.VENDOR + pathname + search, request);
  },
};
