// What every client from npm is asked for, and how its script tells what came of it: one line of JSON.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const [root, modules] = process.argv.slice(2);
export const v1 = `${root}/v1`;
export const MODEL = "fake-1";
export const MISSING = "missing";
export const PROMPT = "Say hello.";
export const KEY = "sk-conformance";
export const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const FUNCTION = { name: "get_weather", description: "The weather of a city.", parameters: PARAMETERS };
export const MESSAGES = [{ role: "user", content: PROMPT }];

/** An error as the client shows it: its class, the status, and whether the upstream's words reached it. */
export function failure(fault, status) {
  return [fault.constructor.name, status, String(fault.message).includes("does not exist")];
}

/** Run the cases, {plain, stream, tool, error}, and tell what came of them, with the versions of some packages. */
export async function main(packages, { plain, stream, tool, error }) {
  const cases = {};
  for (const [name, run] of Object.entries({ plain, stream, "tool call": tool, error })) {
    try {
      cases[name] = await run();
    } catch (fault) {
      cases[name] = ["raised", fault.constructor.name, String(fault.message).slice(0, 300)];
    }
  }
  const told = packages.map((each) => JSON.parse(readFileSync(join(modules, each, "package.json"))).version);
  console.log(JSON.stringify({ version: told.join(", "), cases }));
}
