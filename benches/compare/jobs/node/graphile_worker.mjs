import { EventEmitter } from "node:events";
import { Logger, makeWorkerUtils, run as start } from "graphile-worker";
import pg from "pg";
import { isNoLoss, run, slots } from "./job.mjs";

const connectionString = process.env.DATABASE_URL;
const events = new EventEmitter();
// Errors and warnings, as the other workers log.
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

if (isNoLoss) {
  // The documentation's advice: unlock the jobs of workers that are known to be dead. Those are the
  // ones that this worker's number had before. A job is locked by the id of its worker's pool.
  const number = Number(process.env.COMPARE_WORKER);
  const pool = new pg.Pool({ connectionString, max: 2 });
  const { rows } = await pool.query("delete from pool_id where number = $1 returning id", [number]);
  const utils = await makeWorkerUtils({ connectionString });
  if (rows.length > 0) await utils.forceUnlockWorkers(rows.map((row) => row.id));
  await utils.release();
  events.on("pool:create", ({ workerPool }) => {
    pool.query("insert into pool_id (number, id) values ($1, $2)", [number, workerPool.id]);
  });
}

const runner = await start({
  connectionString,
  events,
  logger,
  concurrency: slots,
  taskList: { scan: async ({ job, target }, helpers) => run(job, target, helpers.abortSignal) },
});
await runner.promise;
