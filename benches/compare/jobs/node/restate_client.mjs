import * as clients from "@restatedev/restate-sdk-clients";
import { serve } from "./client_loop.mjs";

const ingress = clients.connect({ url: process.env.RESTATE_INGRESS });
const handles = new Map();

await serve(
  async (job, target) => {
    const handle = await ingress.serviceSendClient({ name: "scan" }).run({ job, target });
    handles.set(job, handle.invocationId);
  },
  async (job) => {
    const url = `${process.env.RESTATE_ADMIN}/invocations/${handles.get(job)}/cancel`;
    const answer = await fetch(url, { method: "PATCH" });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  },
);
