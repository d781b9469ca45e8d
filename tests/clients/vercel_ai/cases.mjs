// The Vercel AI SDK with its OpenAI-compatible provider. One line of JSON for each case goes to stdout.

import assert from "node:assert/strict";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText, tool } from "ai";
import { z } from "zod";

const MODEL = "simulated-chat";
const PROMPT = "one two";
const ANSWER = "[simulated] one two";

const provider = createOpenAICompatible({
  name: "vbatch",
  baseURL: process.argv[2],
  apiKey: "none",
  supportsStructuredOutputs: true,
  includeUsage: true,
});
const model = provider(MODEL);
const once = { model, prompt: PROMPT, maxRetries: 0 };

async function chat() {
  const { text, usage } = await generateText(once);
  assert.equal(text, ANSWER);
  assert.equal(usage.outputTokens, 3);
}

async function stream() {
  const answer = streamText(once);
  const pieces = [];
  for await (const piece of answer.textStream) pieces.push(piece);
  assert.equal(pieces.join(""), ANSWER);
  assert.equal(pieces.filter((piece) => piece).length, 3);
  assert.equal(await answer.finishReason, "stop");
}

async function toolCall() {
  const lookUp = tool({ description: "Look a city up.", inputSchema: z.object({ city: z.string() }) });
  const { toolCalls } = await generateText({ ...once, tools: { lookUp }, toolChoice: "required" });
  assert.equal(toolCalls.length, 1);
  assert.equal(toolCalls[0].toolName, "lookUp");
  assert.deepEqual(toolCalls[0].input, { city: "[simulated]" });
}

async function jsonSchema() {
  const schema = z.object({ name: z.string(), people: z.number().int().min(0) });
  const { output } = await generateText({ ...once, output: Output.object({ schema }) });
  assert.deepEqual(output, { name: "[simulated]", people: 0 });
}

async function refusal() {
  await assert.rejects(generateText({ ...once, model: provider("absent") }), (error) => {
    assert.equal(error.statusCode, 404);
    assert.match(error.responseBody, /model_not_found/);
    return true;
  });
}

for (const [name, run] of Object.entries({ chat, stream, tool_call: toolCall, json_schema: jsonSchema, refusal })) {
  let fault = null;
  try {
    await run();
  } catch (error) {
    fault = String(error.stack ?? error);
  }
  console.log(JSON.stringify({ case: name, fault }));
}
