// Runs one flow by OpenAI's own client against a base URL and prints what came of it as JSON.
import { createRequire } from "node:module";

const { default: OpenAI } = createRequire(`${process.cwd()}/`)("openai"); // installed in the folder it runs in
const [flow, baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: "What is the weather in Paris?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];

const flows = {
  async chat() {
    const { data, response } = await client.chat.completions.create({ model, messages }).withResponse();
    return { text: data.choices[0].message.content, usage: data.usage, call: response.headers.get("x-optimizer-call-id") };
  },
  async stream() {
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ model, messages, ...options })) chunks.push(chunk);
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    return { text, usage: chunks.at(-1).usage, n_chunks: chunks.length };
  },
  async tool() {
    const first = (await client.chat.completions.create({ model, messages, tools })).choices[0];
    const [call] = first.message.tool_calls;
    const answer = { role: "tool", tool_call_id: call.id, content: "22 degrees" };
    const told = { model, messages: [...messages, first.message, answer], tools, tool_choice: "none" };
    const second = (await client.chat.completions.create(told)).choices[0];
    return { reason: first.finish_reason, id: call.id, name: call.function.name, text: second.message.content };
  },
  async tool_stream() {
    const stream = client.chat.completions.stream({ model, messages, tools });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    return message.tool_calls.map((call) => ({ name: call.function.name, args: JSON.parse(call.function.arguments) }));
  },
  async models() {
    const found = [];
    for await (const each of client.models.list()) found.push(each.id);
    return found;
  },
  async failure() {
    return await client.chat.completions.create({ model, messages }).catch(({ status, code, param, constructor }) => {
      return { status, code, param, kind: constructor.name };
    });
  },
};

console.log(JSON.stringify(await flows[flow]()));
