import { Queue } from "bullmq";
import { serve } from "./client_loop.mjs";

const url = new URL(process.env.REDIS_URL);
const queue = new Queue("scan", { connection: { host: url.hostname, port: Number(url.port) } });
queue.on("error", (error) => console.error(error.message));
const options = process.env.COMPARE_PROFILE === "no-loss" ? { attempts: 3 } : {};

await queue.waitUntilReady();
await serve(
  async (job, target) => {
    await queue.add("scan", { job, target }, { jobId: `scan-${job}`, ...options });
  },
  async () => {
    throw new Error("BullMQ ends a running job only from within its worker");
  },
);
