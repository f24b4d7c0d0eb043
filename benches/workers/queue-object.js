// The least with which calls can wait in an object: one slot, and a list of the calls that wait for
// it. If it takes longer with many waiting calls than with few, the difference is the platform's.
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
    // Calls that have gone are removed from the list from time to time, so that each costs little.
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
