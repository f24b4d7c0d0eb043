// The least that lets calls wait in an object: one slot, and a list of those who want it. What it takes longer with many waiting than
// with few, the platform takes longer.
import { DurableObject } from "cloudflare:workers";

let asked = 0;

export class Queue extends DurableObject {
  waiting = [];
  next = 0;
  busy = false;

  enter() {
    asked += 1;
    if (this.busy) return new Promise((enter) => this.waiting.push(enter));
    this.busy = true;
  }

  leave() {
    asked += 1;
    if (this.next === this.waiting.length) {
      this.busy = false;
      return;
    }
    this.waiting[this.next++]();
    // Those that have gone are let go at times, so that each costs little.
    if (this.next * 2 > this.waiting.length) {
      this.waiting.splice(0, this.next);
      this.next = 0;
    }
  }
}

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/asked") return new Response(`${asked}`);
    const queue = env.QUEUE.getByName(pathname.split("/")[1]);
    await queue.enter();
    const answer = await fetch(request.headers.get("vendor") + pathname, request);
    context.waitUntil(queue.leave());
    return answer;
  },
};
