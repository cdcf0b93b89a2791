// The Vercel AI SDK with its provider for OpenAI-compatible servers: chat completions.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { cases } from "./ai_sdk_cases.mjs";
import { KEY, main, v1 } from "./case.mjs";

const provider = createOpenAICompatible({ name: "gateway", baseURL: v1, apiKey: KEY, includeUsage: true });
await main(["ai", "@ai-sdk/openai-compatible"], cases(provider));
