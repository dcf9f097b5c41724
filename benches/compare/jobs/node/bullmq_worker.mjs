import { Worker } from "bullmq";
import { run, slots } from "./job.mjs";

const url = new URL(process.env.REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const worker = new Worker("scan", async (job, _token, signal) => run(job.data.job, job.data.target, signal), {
  connection,
  concurrency: slots,
});
worker.on("error", (error) => console.error(error.message));
process.on("SIGTERM", async () => {
  await worker.close(true);
  process.exit(0);
});
