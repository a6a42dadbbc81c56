// Talks to /v1 as a user of the `openai` package would; prints what it saw as one JSON line.
import OpenAI from "openai";

const [, , baseURL, apiKey] = process.argv;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "a b c" }];
const seen = {};

seen.models = (await client.models.list()).data.map((model) => model.id);

const whole = await client.chat.completions.create({ model: "character/mira", messages });
seen.whole = whole.choices[0].message.content;
seen.cached = whole.usage.prompt_tokens_details.cached_tokens;

const stream = await client.chat.completions.create({
  model: "scripted:one",
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
seen.streamed = "";
for await (const chunk of stream) {
  seen.streamed += chunk.choices[0]?.delta?.content ?? "";
  seen.usage = chunk.usage ?? seen.usage;
}

const completion = await client.completions.create({ model: "scripted:one", prompt: "Once" });
seen.completion = completion.choices[0].text;

const caught = async (call) => {
  try {
    await call();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code };
  }
};
seen.missing = await caught(() => client.chat.completions.create({ model: "nothing", messages }));
seen.refused = await caught(() =>
  client.chat.completions.create({ model: "scripted:one", messages, n: 3 }),
);
seen.stranger = await caught(() => new OpenAI({ baseURL, apiKey: "wrong" }).models.list());

console.log(JSON.stringify(seen));
