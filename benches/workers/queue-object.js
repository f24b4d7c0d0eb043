// The least that lets calls wait in an object: one slot, and a list of those who want it. What it takes longer with many waiting than
// with few, the platform takes longer.
import { DurableObject } from "cloudflare:workers";

export class Queue extends DurableObject {
  waiting = [];
  next = 0;
  busy = false;
  asked = 0;

  enter() {
    this.asked += 1;
    if (this.busy) return new Promise((enter) => this.waiting.push(enter));
    this.busy = true;
  }

  leave() {
    this.asked += 1;
    if (this.next === this.waiting.length) {
      this.busy = false;
      return;
    }
    this.waiting[this.next]();
    this.waiting[this.next++] = undefined;
  }

  count() {
    return this.asked;
  }
}

export default {
  async fetch(request, env, context) {
    const queue = env.QUEUE.getByName("queue");
    const { pathname } = new URL(request.url);
    if (pathname === "/asked") return new Response(`${await queue.count()}`);
    await queue.enter();
    const answer = await fetch(env.VENDOR + pathname, request);
    context.waitUntil(queue.leave());
    return answer;
  },
};
