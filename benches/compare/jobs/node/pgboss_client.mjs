import { serve } from "./client_loop.mjs";
import { createQueue, open, QUEUE } from "./pgboss.mjs";

const boss = await open({ supervise: false, schedule: false });
if (process.argv[2] === "migrate") {
  await createQueue(boss);
  process.exit(0);
}
const handles = new Map();
await serve(
  async (job, target) => {
    handles.set(job, await boss.send(QUEUE, { job, target }));
  },
  async (job) => {
    await boss.cancel(QUEUE, handles.get(job));
  },
);
