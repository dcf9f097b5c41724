import * as restate from "@restatedev/restate-sdk";
import { isNoLoss, run } from "./job.mjs";

const long = { hours: 4 };
const scan = restate.service({
  name: "scan",
  handlers: {
    run: async (context, { job, target }) => {
      await context.run("scan", () => run(job, target, context.request().attemptCompletedSignal));
    },
  },
  options: isNoLoss ? { inactivityTimeout: long, abortTimeout: long } : {},
});

await restate.serve({ services: [scan], port: Number(process.env.COMPARE_PORT) });
