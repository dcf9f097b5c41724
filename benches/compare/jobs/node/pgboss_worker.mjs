import { run, slots, isNoLoss } from "./job.mjs";
import { open, QUEUE } from "./pgboss.mjs";

const boss = await open();
const polling = isNoLoss ? { pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 } : {};
await boss.work(QUEUE, { localConcurrency: slots, ...polling }, async ([job]) =>
  run(job.data.job, job.data.target, job.signal),
);
process.on("SIGTERM", async () => {
  await boss.stop({ graceful: false });
  process.exit(0);
});
