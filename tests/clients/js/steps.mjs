// What every driver does alike: run named steps, print one line for each, end with one line of JSON and an exit code.
import { parseArgs } from "node:util";

/** How long one step may take before it counts as failed; long enough for a machine that compiles besides. */
const STEP_MS = Number(process.env.STEP_MS ?? 30_000);
/** How much of a failure's reason is printed. */
const WHY_CHARS = 300;
/** How often a condition is looked at again. */
const LOOK_MS = 25;

// The SDKs log through the console; the only thing a reader of this output wants is the steps.
const print = console.log.bind(console);

/** Silences the SDKs, which log through the console. */
export function quiet() {
  for (const level of ["log", "debug", "warn", "info", "error", "trace"]) console[level] = () => {};
}

/** The steps of one driver. A step that needs what a failed one should have made fails, too, and says so. */
export class Steps {
  #passed = 0;
  #failed = [];

  constructor(driver) {
    this.driver = driver;
  }

  /** Runs a step; `false` and exceptions fail it. Gives what it returned, or `undefined`. */
  async step(name, run) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`nothing after ${STEP_MS} ms`)), STEP_MS);
    });
    try {
      const got = await Promise.race([run(), late]);
      if (got === false) throw new Error("not as it should be");
      this.#passed += 1;
      print(`ok ${name}`);
      return got;
    } catch (error) {
      this.#failed.push(name);
      const why = String(error?.message ?? error).replaceAll("\n", " ");
      print(`not ok ${name}: ${why.slice(0, WHY_CHARS)}`);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Prints the summary and ends the process. */
  finish() {
    const summary = { driver: this.driver, passed: this.#passed, failed: this.#failed };
    print(JSON.stringify(summary));
    process.exit(this.#failed.length || !this.#passed ? 1 : 0);
  }
}

/** Waits until `look` gives something true, and gives that. The step's own limit ends the wait. */
export async function until(look) {
  for (;;) {
    const got = await look();
    if (got) return got;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** A name nobody has yet. */
export const fresh = (prefix) => prefix + Math.random().toString(36).slice(2, 10);

/** Throws unless it holds; for steps with more than one thing to check. */
export function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** The command line: `URL [--NAME VALUE]`. A driver that is called wrongly says how to call it. */
export function commandLine(usage, options) {
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (positionals.length === 1) return { url: positionals[0].replace(/\/$/, ""), ...values };
  } catch (error) {
    print(error.message);
  }
  print(`usage: ${usage}`);
  process.exit(64);
}
