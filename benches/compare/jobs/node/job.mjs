// The job of the Node.js systems: spawn the scanner in a process group of its own, wait, store the
// result.

import { spawn } from "node:child_process";
import { openSync, closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

const { COMPARE_SCANNER, COMPARE_RESULTS, DATABASE_URL } = process.env;
const pool = DATABASE_URL && new pg.Pool({ connectionString: DATABASE_URL, max: 4 });
// A lost connection of the pool is opened again.
pool?.on("error", (error) => console.error(error.message));

// How long, and after which pause, a job tries again to store its result.
const storeLimitMs = 60_000;
const storePauseMs = 200;

// The scan is not thrown away because the database is away for a moment.
async function store(job, pid, code) {
  const giveUp = Date.now() + storeLimitMs;
  for (;;) {
    try {
      return await pool.query({
        name: "store",
        text: "insert into result (job, pid, exit_code) values ($1, $2, $3)",
        values: [job, pid, code],
      });
    } catch (error) {
      if (Date.now() > giveUp) throw error;
      await sleep(storePauseMs);
    }
  }
}

// `signal` is the system's own signal that the job must end.
export async function run(job, target, signal) {
  if (target === "noop") return;
  const out = `${COMPARE_RESULTS}/scan-${job}/attempt-${process.pid}-${process.hrtime.bigint()}`;
  const log = openSync(`${COMPARE_RESULTS}/scan-${job}.log`, "a");
  const child = spawn(COMPARE_SCANNER, ["-t", target, "-m", "passive", "-o", out], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const kill = () => process.kill(-child.pid, "SIGKILL");
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, by) => resolve(code ?? 128));
  });
  signal?.addEventListener("abort", kill, { once: true });
  const code = await ended;
  signal?.removeEventListener("abort", kill);
  signal?.throwIfAborted();
  await store(job, child.pid, code);
}

export const isNoLoss = process.env.COMPARE_PROFILE === "no-loss";
export const slots = Number(process.env.COMPARE_SLOTS);
