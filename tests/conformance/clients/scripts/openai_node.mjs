// openai-node.

import OpenAI, { APIError } from "openai";
import { FUNCTION, KEY, MESSAGES, MISSING, MODEL, failure, main, v1 } from "./case.mjs";

const client = new OpenAI({ baseURL: v1, apiKey: KEY });
const ask = (more) => client.chat.completions.create({ model: MODEL, messages: MESSAGES, ...more });

await main(["openai"], {
  plain: async () => (await ask()).choices[0].message.content,
  stream: async () => {
    let text = "";
    for await (const chunk of await ask({ stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
    return text;
  },
  tool: async () => {
    const answer = await ask({ tools: [{ type: "function", function: FUNCTION }] });
    const [call] = answer.choices[0].message.tool_calls;
    return [call.function.name, JSON.parse(call.function.arguments)];
  },
  error: async () => {
    try {
      await ask({ model: MISSING });
    } catch (fault) {
      if (fault instanceof APIError) return failure(fault, fault.status);
      throw fault;
    }
  },
});
