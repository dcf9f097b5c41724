// The instance of pg-boss that client and worker configure alike.

import { PgBoss } from "pg-boss";
import { isNoLoss } from "./job.mjs";

export const QUEUE = "scan";

export async function open(options) {
  const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, useListenNotify: isNoLoss, ...options });
  boss.on("error", (error) => console.error(error.message));
  await boss.start();
  return boss;
}

export async function createQueue(boss) {
  const noLoss = { notify: true, heartbeatSeconds: 30, expireInSeconds: 14400, retryLimit: 3 };
  await boss.createQueue(QUEUE, isNoLoss ? noLoss : {});
}
