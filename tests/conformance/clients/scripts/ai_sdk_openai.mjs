// The Vercel AI SDK with its OpenAI provider: the Responses API.

import { createOpenAI } from "@ai-sdk/openai";
import { cases } from "./ai_sdk_cases.mjs";
import { KEY, main, v1 } from "./case.mjs";

await main(["ai", "@ai-sdk/openai"], cases(createOpenAI({ baseURL: v1, apiKey: KEY })));
