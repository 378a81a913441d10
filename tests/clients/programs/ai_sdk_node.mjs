// Vercel's AI SDK. Run with the address of a daemon that serves the demo model.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateObject, generateText, jsonSchema, streamText, tool } from "ai";

const place = createOpenAICompatible({ name: "swarm", baseURL: process.argv[2], includeUsage: true, supportsStructuredOutputs: true });
const prompt = "What is 37 + 48 - 15?";

const whole = await generateText({ model: place("swarm-demo"), prompt, temperature: 0, maxRetries: 0 });
assert.match(whole.text, /70/);
assert.equal(whole.finishReason, "stop");
assert.ok(whole.usage.outputTokens > 0);

let said = "";
const stream = streamText({ model: place("swarm-demo"), prompt, temperature: 0, maxRetries: 0 });
for await (const piece of stream.textStream) said += piece;
assert.equal(said, whole.text);

const { embedding } = await embed({ model: place.textEmbeddingModel("swarm-demo"), value: "one", maxRetries: 0 });
assert.ok(embedding.length > 8);

const numbers = jsonSchema({
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
  additionalProperties: false,
});
const { object } = await generateObject({ model: place("swarm-demo"), schema: numbers, prompt, maxRetries: 0 });
assert.ok(Number.isInteger(object.a) && Number.isInteger(object.b));

const tools = { add: tool({ description: "Adds two numbers", inputSchema: numbers }) };
const asked = { model: place("swarm-demo"), prompt, tools, toolChoice: "required", temperature: 0, maxRetries: 0 };
const called = await generateText(asked);
assert.equal(called.finishReason, "tool-calls");
assert.equal(called.toolCalls[0].toolName, "add");
const parts = streamText(asked);
await parts.consumeStream();
assert.deepEqual((await parts.toolCalls)[0].input, called.toolCalls[0].input);

await assert.rejects(generateText({ model: place("nobody/has-it"), prompt, maxRetries: 0 }), /does not exist/);
