// The official JavaScript clients against `minke serve`; npm_sdk.py starts the server and this.
// usage: node suite.mjs URL MODEL     prints what failed, and at the end "N passed, N failed"
import Anthropic from '@anthropic-ai/sdk';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';

const [url, model] = process.argv.slice(2);
const schema = {
  type: 'object',
  properties: { city: { type: 'string', description: "The city's name" } },
  required: ['city'],
};
const weather = { name: 'get_weather', description: 'Tells the weather in a city now.' };
const system = 'Call get_weather whenever you are asked about the weather. Say nothing else before the call.';
const question = 'What is the weather in Paris now?';
const capital = [{ role: 'user', content: 'What is the capital of France? Answer in one sentence.' }];
const markup = /<\/?tool_call>|<tools>|<\|im_/;

let passed = 0;
let failed = 0;
function check(what, good, detail) {
  if (good) {
    passed += 1;
    return;
  }
  failed += 1;
  console.log(`FAILED ${what}: ${JSON.stringify(detail)?.slice(0, 500)}`);
}
async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}
const isParis = (text) => {
  try {
    return String(JSON.parse(text).city).includes('Paris');
  } catch {
    return false;
  }
};

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const greedy = { model, temperature: 0, max_tokens: 48 };
const openaiTools = [{ type: 'function', function: { ...weather, parameters: schema } }];
const asked = [
  { role: 'system', content: system },
  { role: 'user', content: question },
];

const suite = {
  async openaiChat() {
    const models = [];
    for await (const one of openai.models.list()) models.push(one.id);
    check('openai: models', models.includes(model), models);
    const whole = await openai.chat.completions.create({ ...greedy, messages: capital });
    const { content } = whole.choices[0].message;
    check('openai: an answer', content.includes('Paris') && whole.usage.total_tokens > 10, whole);
    let text = '';
    let usage;
    const events = await openai.chat.completions.create({
      ...greedy,
      messages: capital,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of events) {
      text += chunk.choices[0]?.delta?.content ?? '';
      usage = chunk.usage ?? usage;
    }
    check('openai: the same as a stream', text === content && usage.total_tokens === whole.usage.total_tokens, text);
    const gathered = openai.chat.completions.stream({ ...greedy, messages: capital });
    check('openai: gathered', (await gathered.finalContent()) === content, content);
  },

  async openaiTools() {
    let called = '';
    const runner = openai.chat.completions.runTools(
      {
        ...greedy,
        messages: asked,
        tools: [
          {
            type: 'function',
            function: {
              ...weather,
              parameters: schema,
              parse: (text) => text,
              function: (text) => {
                called = text;
                return 'sunny, 31 degrees';
              },
            },
          },
        ],
      },
      { maxChatCompletions: 2 },
    );
    await refusal(() => runner.done());
    check('openai: the tool ran', isParis(called), called);
    check('openai: its result was sent', runner.messages.some((message) => message.role === 'tool'), runner.messages);
    const streamed = openai.chat.completions.stream({ ...greedy, messages: asked, tools: openaiTools });
    const message = await streamed.finalMessage();
    const call = message.tool_calls?.[0]?.function;
    check('openai: a streamed call', call && isParis(call.arguments) && !markup.test(message.content ?? ''), message);
  },

  async openaiResponses() {
    const fields = { model, temperature: 0, max_output_tokens: 48 };
    const whole = await openai.responses.create({ ...fields, input: capital[0].content });
    check('responses: an answer', whole.output_text.includes('Paris'), whole);
    let text = '';
    const last = [];
    const tools = [{ type: 'function', ...weather, parameters: schema, strict: false }];
    const stream = openai.responses.stream({ ...fields, input: asked, tools });
    for await (const event of stream) {
      if (event.type === 'response.function_call_arguments.delta') text += event.delta;
      last[0] = event.type;
    }
    const final = await stream.finalResponse();
    const call = final.output.find((item) => item.type === 'function_call');
    check('responses: a call', call && isParis(call.arguments) && text === call.arguments, final);
    check('responses: the end', last[0] === 'response.completed', last);
    const results = [{ type: 'function_call_output', call_id: call?.call_id ?? '', output: 'sunny' }];
    const next = await openai.responses.create({ ...fields, input: [...asked, ...final.output, ...results], tools });
    check('responses: goes on', next.output.length > 0 && !markup.test(next.output_text), next);
  },

  async openaiOthers() {
    const vectors = await openai.embeddings.create({ model, input: ['whale', 'ship'] });
    check('openai: embeddings', vectors.data.length === 2 && vectors.data[0].embedding.length > 100, vectors.usage);
    const missing = await refusal(() => openai.chat.completions.create({ ...greedy, model: 'nope', messages: capital }));
    check('openai: no such model', missing instanceof OpenAI.NotFoundError && missing.code === 'model_not_found', missing);
    const wrong = await refusal(() => openai.chat.completions.create({ ...greedy, temperature: 9, messages: capital }));
    check('openai: a wrong value', wrong instanceof OpenAI.BadRequestError && wrong.param === 'temperature', wrong);
    const stream = await openai.chat.completions.create({
      model,
      messages: capital,
      stream: true,
      max_tokens: 1000,
      ignore_eos: true,
    });
    let chunks = 0;
    for await (const _ of stream) {
      chunks += 1;
      if (chunks === 3) break;
    }
    stream.controller.abort();
    check('openai: broken off', chunks === 3, chunks);
  },

  async anthropic() {
    const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const fields = { model, max_tokens: 48, temperature: 0 };
    const whole = await client.messages.create({ ...fields, messages: capital });
    check('anthropic: an answer', whole.content[0].text.includes('Paris') && whole.stop_reason, whole);
    const kinds = new Set();
    const tools = [{ ...weather, input_schema: schema }];
    const messages = [{ role: 'user', content: question }];
    const stream = client.messages.stream({ ...fields, system, messages, tools });
    stream.on('streamEvent', (event) => kinds.add(event.type));
    const final = await stream.finalMessage();
    const use = final.content.find((block) => block.type === 'tool_use');
    check('anthropic: a call', use && String(use.input.city).includes('Paris') && final.stop_reason === 'tool_use', final);
    check('anthropic: events', kinds.has('content_block_delta') && kinds.has('message_stop'), [...kinds]);
    const result = { type: 'tool_result', tool_use_id: use?.id ?? '', content: 'sunny' };
    const next = [...messages, { role: 'assistant', content: final.content }, { role: 'user', content: [result] }];
    const after = await client.messages.create({ ...fields, system, messages: next, tools });
    check('anthropic: goes on', after.content.length > 0, after);
    const count = await client.messages.countTokens({ model, messages: capital });
    check('anthropic: counted', count.input_tokens > 5, count);
    const wrong = await refusal(() => client.messages.create({ ...fields, model: 'nope', messages: capital }));
    check('anthropic: no such model', wrong instanceof Anthropic.NotFoundError, wrong);
  },

  async deepseek() {
    const provider = createDeepSeek({ baseURL: url, apiKey: 'none' });
    await aiSdk('deepseek', provider('deepseek-chat'));
  },

  async compatible() {
    const provider = createOpenAICompatible({ name: 'minke', baseURL: `${url}/v1`, includeUsage: true });
    await aiSdk('compatible', provider(model));
    const text = await generateText({
      model: provider.completionModel(model),
      prompt: 'One, two, three,',
      maxOutputTokens: 8,
      temperature: 0,
      maxRetries: 0,
    });
    check('compatible: a completion', text.text.length > 0, text.text);
    const vector = await embed({ model: provider.embeddingModel(model), value: 'whale', maxRetries: 0 });
    check('compatible: an embedding', vector.embedding.length > 100, vector.usage);
  },
};

async function aiSdk(name, chatModel) {
  const fields = { model: chatModel, temperature: 0, maxOutputTokens: 48, maxRetries: 0 };
  const whole = await generateText({ ...fields, messages: capital });
  check(`${name}: an answer`, whole.text.includes('Paris') && whole.usage.totalTokens > 10, whole.text);
  const stream = streamText({ ...fields, messages: capital });
  let text = '';
  for await (const part of stream.textStream) text += part;
  const usage = await stream.usage;
  check(`${name}: the same as a stream`, text === whole.text && usage.totalTokens === whole.usage.totalTokens, [text, usage]);
  let city = '';
  const execute = async (input) => {
    city = String(input.city);
    return 'sunny, 31 degrees';
  };
  const looped = await generateText({
    ...fields,
    system,
    prompt: question,
    tools: { get_weather: tool({ description: weather.description, inputSchema: jsonSchema(schema), execute }) },
    stopWhen: stepCountIs(2),
  });
  check(`${name}: the tool ran`, city.includes('Paris') && looped.steps.length === 2, [city, looped.steps.length]);
  check(`${name}: no markup`, !markup.test(looped.text), looped.text);
  const wrong = await refusal(() => generateText({ ...fields, temperature: 9, messages: capital }));
  check(`${name}: a wrong value`, wrong?.statusCode === 400, wrong);
}

for (const [name, run] of Object.entries(suite)) {
  try {
    await run();
  } catch (error) {
    check(name, false, String(error?.stack ?? error));
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
