// The generated TypeScript client: an agent, a run, its events, typed by their `type`.
import { AgentsApi, Configuration, ModelSettingsProviderEnum, ResponseError, RunEvent, RunsApi } from "../../build/sdk/typescript/src/index.js";

declare const process: { env: Record<string, string | undefined> };

const configuration = new Configuration({ basePath: process.env.HSAFA_URL, accessToken: process.env.HSAFA_API_KEY });
const agents = new AgentsApi(configuration);
const runs = new RunsApi(configuration);

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

const name = "typescript-client";
const agent = await agents.createAgent({
  idempotencyKey: "typescript-client-1",
  newAgent: {
    name,
    config: {
      version: "1.0",
      agent: { name },
      model: { provider: ModelSettingsProviderEnum.Simulated, script: { steps: [{ text: "Hello." }] } },
    },
  },
});
const created = await runs.createRun({ newRun: { agentId: agent.agentId, initialMessages: [{ role: "user", content: "Hi." }] } });
// A net for a machine that is busy: the run takes moments.
for (let tries = 0; (await runs.getRun({ runId: created.runId })).status !== "completed"; tries += 1) {
  check(tries < 1200, "the run does not complete");
  await new Promise<void>((later) => setTimeout(() => later(), 100));
}
const page = await runs.listRunEvents({ runId: created.runId });
const texts = page.data.map((event: RunEvent) => (event.type === "assistant.delta" ? event.data.text : "")).join("");
check(texts === "Hello.", `the assistant said ${texts}`);
check(page.data.every((event, index) => event.seq === index + 1), "the events have holes");

const refusal = await runs.getRun({ runId: "0198c1f2-0b3c-7e55-a1d4-6c2f9e8b7001" }).catch((error: unknown) => error);
check(refusal instanceof ResponseError && refusal.response.status === 404, "a run that is not there is 404");
console.log("The TypeScript client went from agent to run to events");
