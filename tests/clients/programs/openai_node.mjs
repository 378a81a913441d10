// The official client for Node. Run with the address of a daemon that serves the demo model.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const messages = [{ role: "user", content: "What is 37 + 48 - 15?" }];

const whole = await client.chat.completions.create({ model, messages, temperature: 0 });
assert.match(whole.choices[0].message.content, /70/);

const began = Date.now();
let said = "";
const stream = await client.chat.completions.create({
  model, messages, temperature: 0, stream: true, stream_options: { include_usage: true },
});
let usage = null;
for await (const chunk of stream) {
  said += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(said, whole.choices[0].message.content);
assert.equal(usage.total_tokens, whole.usage.total_tokens);
assert.ok(Date.now() - began < 30_000, "the stream did not end after [DONE]");

const told = await client.chat.completions.create({ model, messages, logprobs: true, top_logprobs: 2, max_tokens: 4 });
assert.equal(told.choices[0].logprobs.content.length > 0, true);

const vectors = await client.embeddings.create({ model, input: ["one", "two"] });
assert.equal(vectors.data.length, 2);
assert.ok(Math.abs(vectors.data[0].embedding.reduce((sum, value) => sum + value * value, 0) - 1) < 1e-3);

const response = await client.responses.create({ model, input: "What is 37 + 48 - 15?", temperature: 0 });
assert.match(response.output_text, /70/);

await assert.rejects(client.chat.completions.create({ model: "nobody/has-it", messages }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ model, messages, top_p: 7 }), (error) => error.param === "top_p");

const left = await client.chat.completions.create({ model, messages, stream: true });
for await (const chunk of left) { left.controller.abort(); break; }
