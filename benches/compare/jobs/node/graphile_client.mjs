import { makeWorkerUtils } from "graphile-worker";
import { serve } from "./client_loop.mjs";

const utils = await makeWorkerUtils({ connectionString: process.env.DATABASE_URL });
if (process.argv[2] === "migrate") {
  await utils.migrate();
  process.exit(0);
}
await serve(
  async (job, target) => {
    await utils.addJob("scan", { job, target });
  },
  async () => {
    throw new Error("Graphile Worker has no call that ends a running job");
  },
);
