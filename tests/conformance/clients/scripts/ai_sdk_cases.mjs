// The Vercel AI SDK's four cases, for any of its providers.

import { APICallError, generateText, jsonSchema, streamText, tool } from "ai";
import { FUNCTION, MISSING, MODEL, PARAMETERS, PROMPT, failure } from "./case.mjs";

const tools = { [FUNCTION.name]: tool({ description: FUNCTION.description, inputSchema: jsonSchema(PARAMETERS) }) };

/** ``model`` makes a model of a name. */
export const cases = (model) => ({
  plain: async () => (await generateText({ model: model(MODEL), prompt: PROMPT })).text,
  stream: async () => {
    let text = "";
    for await (const piece of streamText({ model: model(MODEL), prompt: PROMPT }).textStream) text += piece;
    return text;
  },
  tool: async () => {
    const [call] = (await generateText({ model: model(MODEL), prompt: PROMPT, tools })).toolCalls;
    return [call.toolName, call.input];
  },
  error: async () => {
    try {
      await generateText({ model: model(MISSING), prompt: PROMPT, maxRetries: 0 });
    } catch (fault) {
      if (APICallError.isInstance(fault)) return failure(fault, fault.statusCode);
      throw fault;
    }
  },
});
