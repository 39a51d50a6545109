"""The official Python client of OpenAI's API against `minke serve` with SmolLM2: what the client reads of models, chats,
completions, streams, log-probabilities, errors, cancelled requests, and the server's orderly end.

usage: openai_sdk.py --minke BINARY [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where the model is not in the store.
"""

import asyncio
import json
import re
import signal
import subprocess
import threading
import time
from typing import Annotated, Literal, Optional

import openai
import pydantic
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from minke_server import MODEL, Checks, Server, main

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]


class City(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    country: Literal["France", "Italy"]
    inhabitants: Optional[Annotated[int, pydantic.Field(ge=0, le=99999999)]]


class Suite(Checks):
    def __init__(self, server):
        super().__init__()
        self.server = server
        self.client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)
        self.deepseek = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120)

    def chat(self, client=None, **fields):
        arguments = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 24, **fields}
        return (client or self.client).chat.completions.create(**arguments)

    def refused(self, kind, call):
        try:
            call()
        except kind as error:
            return error
        except openai.OpenAIError as error:
            print(f"another error: {error!r}")
        return None

    def test_models(self):
        models = self.client.models.list().data
        self.check("models.list", [m.id for m in models] == [MODEL, "gpt-test"], models)
        self.check("models.retrieve", self.client.models.retrieve("gpt-test").id == "gpt-test")
        self.check("context window", models[0].model_extra["context_window"] == 2048, models[0])
        self.check("unknown model", self.refused(openai.NotFoundError, lambda: self.client.models.retrieve("nope")))
        Model.model_validate(json.loads(self.server.get("/v1/models"))["data"][0])

    def test_chat(self):
        reply = self.chat()
        self.check("an answer", "Paris" in reply.choices[0].message.content, reply)
        self.check("finished", reply.choices[0].finish_reason in ("stop", "length"), reply)
        usage = reply.usage
        self.check("usage adds up", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)
        self.check("the same again", self.chat().choices[0].message.content == reply.choices[0].message.content)
        self.check("system_fingerprint", reply.system_fingerprint.startswith("fp_"), reply)
        again = self.chat(model="gpt-test")
        self.check("by alias", again.choices[0].message.content == reply.choices[0].message.content and again.model == "gpt-test")
        hot = [self.chat(temperature=1.5, seed=5).choices[0].message.content for _ in range(2)]
        self.check("a seed gives one reply", hot[0] == hot[1], hot)

    def test_wire(self):
        """Strictly, what the client's own types demand."""
        body = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 8, "logprobs": True, "top_logprobs": 2}
        status, text = self.server.post("/v1/chat/completions", body)
        self.check("a chat's status", status == 200, text)
        ChatCompletion.model_validate(json.loads(text), strict=True)
        status, text = self.server.post("/v1/chat/completions", {**body, "stream": True, "stream_options": {"include_usage": True}})
        events = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        self.check("a stream's end", events[-1] == "[DONE]", events[-1])
        for event in events[:-1]:
            ChatCompletionChunk.model_validate(json.loads(event), strict=True)
        status, text = self.server.post("/v1/completions", {"model": MODEL, "prompt": "One, two,", "logprobs": 2})
        Completion.model_validate(json.loads(text), strict=True)
        self.check("a completion's status", status == 200, text)

    def test_stream(self):
        whole = self.chat()
        stream = self.chat(stream=True, stream_options={"include_usage": True})
        chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.check("a stream has the same text", text == whole.choices[0].message.content, text)
        self.check("role first", chunks[0].choices[0].delta.role == "assistant", chunks[0])
        self.check("usage last", chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens,
                   chunks[-1])
        self.check("one id", len({c.id for c in chunks}) == 1)
        plain = list(self.chat(stream=True))
        self.check("no usage unasked", all(c.usage is None and c.choices for c in plain))

    def test_stream_of_deepseek(self):
        chunks = list(self.chat(self.deepseek, stream=True))
        self.check("usage on the last chunk", chunks[-1].usage and chunks[-1].choices[0].finish_reason, chunks[-1])
        self.check("no usage before", all(c.usage is None for c in chunks[:-1]))

    def test_ends(self):
        full = self.chat().choices[0].message.content
        cut = self.chat(max_tokens=3)
        self.check("max_tokens", cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 3, cut)
        stopped = self.chat(stop=["Paris"])
        self.check("stop", stopped.choices[0].message.content == full.split("Paris")[0], stopped)
        self.check("stop's reason", stopped.choices[0].finish_reason == "stop", stopped)
        streamed = "".join(c.choices[0].delta.content or "" for c in self.chat(stop=["Paris"], stream=True))
        self.check("stop in a stream", streamed == full.split("Paris")[0], streamed)

    def test_samples(self):
        reply = self.chat(n=3, temperature=1.5, seed=1)
        texts = [c.message.content for c in reply.choices]
        self.check("three", len(texts) == 3 and len(set(texts)) > 1, texts)
        first = self.chat(temperature=1.5, seed=1).choices[0].message.content
        self.check("the first is the lone one", texts[0] == first, (texts[0], first))

    def test_logprobs(self):
        choice = self.chat(logprobs=True, top_logprobs=3).choices[0]
        entries = choice.logprobs.content
        text = b"".join(bytes(e.bytes) for e in entries).decode()
        self.check("tokens make the text", text.strip() == choice.message.content.strip(), text)
        self.check("the likeliest was drawn", all(e.top_logprobs[0].token == e.token for e in entries), entries)
        self.check("in order", all(e.top_logprobs[0].logprob >= e.top_logprobs[2].logprob for e in entries))
        self.check("logarithms", all(e.logprob <= 0 for e in entries))

    def test_completions(self):
        reply = self.client.completions.create(model=MODEL, prompt="One, two, three,", temperature=0, max_tokens=8)
        self.check("continues", "four" in reply.choices[0].text, reply)
        two = self.client.completions.create(model=MODEL, prompt=["One, two, three,", "A, B, C,"], temperature=0, max_tokens=8,
                                             echo=True)
        self.check("the prompt, echoed", two.choices[0].text == "One, two, three," + reply.choices[0].text, two)
        self.check("two prompts", two.choices[1].text.startswith("A, B, C,") and two.choices[1].index == 1, two)

    def test_continued(self):
        begun = [*QUESTION, {"role": "assistant", "content": "The capital of France is", "prefix": True}]
        reply = self.chat(self.deepseek, messages=begun).choices[0].message.content
        self.check("a reply that was begun", reply.lstrip().startswith("Paris"), reply)

    def test_no_gap(self):
        refused = self.refused(openai.BadRequestError,
                               lambda: self.client.completions.create(model=MODEL, prompt="def f(", suffix="return 1"))
        self.check("a gap needs a model with markers", refused and refused.param == "suffix", refused)

    def test_responses(self):
        reply = self.client.responses.create(model=MODEL, input=QUESTION[0]["content"], temperature=0, max_output_tokens=24)
        same = self.chat().choices[0].message.content
        self.check("a response has the chat's text", reply.output_text == same, (reply, same))
        self.check("nothing is stored", reply.store is False and reply.status in ("completed", "incomplete"), reply)
        self.check("its usage", reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens, reply.usage)
        Response.model_validate(reply.model_dump(), strict=True)
        text, names = "", []
        with self.client.responses.stream(model=MODEL, input=QUESTION, temperature=0, max_output_tokens=24) as stream:
            for event in stream:
                names.append(event.type)
                if event.type == "response.output_text.delta":
                    text += event.delta
            final = stream.get_final_response()
        self.check("streamed", text == same and final.output_text == same, (text, final))
        self.check("events' order", names[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                                                  "response.content_part.added"], names)
        again = [{"role": "user", "content": "Hi"}, *[item.model_dump() for item in reply.output],
                 {"role": "user", "content": "Thank you."}]
        second = self.client.responses.create(model=MODEL, input=again, max_output_tokens=4)
        self.check("its output sent back", second.output_text, second)
        stored = self.refused(openai.BadRequestError, lambda: self.client.responses.create(
            model=MODEL, input="x", previous_response_id="resp_1"))
        self.check("nothing to go on from", stored and stored.param == "previous_response_id", stored)

    def test_constrained(self):
        if self.refused(openai.BadRequestError, lambda: self.chat(response_format={"type": "json_object"}, max_tokens=1)):
            print("SKIPPED constrained output: this build has none")
            return
        arguments = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 80}
        reply = self.client.chat.completions.parse(response_format=City, **arguments)
        self.check("parse", isinstance(reply.choices[0].message.parsed, City), reply)
        with self.client.chat.completions.stream(response_format=City, **arguments) as stream:
            final = stream.get_final_completion()
        self.check("a parsed stream", final.choices[0].message.parsed == reply.choices[0].message.parsed, final)
        response = self.client.responses.parse(model=MODEL, input=QUESTION, text_format=City, max_output_tokens=80,
                                               temperature=0)
        self.check("responses.parse", isinstance(response.output_parsed, City), response)
        reply = self.chat(response_format={"type": "json_object"}, temperature=1, seed=3, max_tokens=200)
        if reply.choices[0].finish_reason == "stop":
            self.check("a JSON object", isinstance(json.loads(reply.choices[0].message.content), dict), reply)
        reply = self.chat(extra_body={"guided_choice": ["Rome", "Berlin"]})
        self.check("a choice", reply.choices[0].message.content in ("Rome", "Berlin"), reply)
        reply = self.chat(extra_body={"structured_outputs": {"regex": "[0-9]{3}-[a-z]{2}"}})
        self.check("an expression", re.fullmatch("[0-9]{3}-[a-z]{2}", reply.choices[0].message.content), reply)
        error = self.refused(openai.BadRequestError, lambda: self.chat(extra_body={"guided_json": {"uniqueItems": True}}))
        self.check("a schema that cannot be", error and "uniqueItems" in error.message, error)

    def test_embeddings(self):
        texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a couch.", "Interest rates rose by half a percent."]
        reply = self.client.embeddings.create(model=MODEL, input=texts)  # base64, unless it is told otherwise
        plain = self.client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
        a, b, c = [item.embedding for item in reply.data]

        def dot(x, y):
            return sum(i * j for i, j in zip(x, y))

        self.check("length one", abs(dot(a, a) - 1) < 1e-4, dot(a, a))
        self.check("like texts are near", dot(a, b) > dot(a, c), (dot(a, b), dot(a, c)))
        self.check("numbers are the same", max(abs(x - y) for x, y in zip(a, plain.data[0].embedding)) < 1e-6)
        alone = self.client.embeddings.create(model=MODEL, input=texts[1], extra_body={"pooling": "last"})
        self.check("the last token's", abs(dot(alone.data[0].embedding, b)) < 0.9999, alone.usage)

    def test_errors(self):
        self.check("404", self.refused(openai.NotFoundError, lambda: self.chat(model="nope")))
        bad = self.refused(openai.BadRequestError, lambda: self.chat(temperature=7))
        self.check("400", bad and bad.param == "temperature" and "temperature" in bad.message, bad)
        long = self.refused(openai.BadRequestError, lambda: self.chat(messages=[{"role": "user", "content": "word " * 5000}]))
        self.check("too long", long and long.code == "context_length_exceeded", long)
        biased = self.chat(logit_bias={"0": -100}, presence_penalty=0.5, frequency_penalty=0.5)
        self.check("biases and penalties are taken", biased.choices[0].message.content, biased)
        self.check("no such route", self.server.post("/v1/nothing", {})[0] == 404)
        self.check("422 of DeepSeek's", self.server.post("/chat/completions", {"model": MODEL, "messages": 5})[0] == 422)
        self.check("nested deeply", self.server.post("/v1/chat/completions", b'{"a":' + b"[" * 200000)[0] == 400)

    def test_control_tokens_stay_text(self):
        def tokens(text):
            return self.chat(messages=[{"role": "user", "content": text}], max_tokens=1).usage.prompt_tokens

        self.check("a spelling is many tokens", tokens("a<|im_end|>") >= tokens("a") + 3)

    def test_many_at_once(self):
        lone = self.chat().choices[0].message.content

        async def all_of_them():
            async with openai.AsyncOpenAI(base_url=self.server.url + "/v1", api_key="none", timeout=120) as client:
                return await asyncio.gather(*[client.chat.completions.create(
                    model=MODEL, messages=QUESTION, temperature=0, max_tokens=24, user=f"user-{i}") for i in range(12)])

        texts = {r.choices[0].message.content for r in asyncio.run(all_of_them())}
        self.check("the same bits for all", texts == {lone}, texts)

    def test_cache(self):
        long = [{"role": "user", "content": "Here is a list: " + ", ".join(str(i) for i in range(150)) + ". What was it?"}]
        first = self.chat(messages=long, user="cache", max_tokens=2).usage
        second = self.chat(messages=long, user="cache", max_tokens=2).usage
        other = self.chat(messages=long, user="somebody else", max_tokens=2).usage
        self.check("nothing at first", first.prompt_tokens_details.cached_tokens == 0, first)
        expected = 64 * ((second.prompt_tokens - 1) // 64)
        self.check("whole blocks then", second.prompt_tokens_details.cached_tokens == expected > 0, second)
        self.check("DeepSeek's names", second.model_extra["prompt_cache_hit_tokens"] == expected, second)
        self.check("nobody else's", other.prompt_tokens_details.cached_tokens == 0, other)

    def test_leaving_cancels(self):
        stream = self.chat(stream=True, max_tokens=1500, temperature=1.5, seed=3, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        deadline = time.monotonic() + 20
        while json.loads(self.server.get("/health"))["running"] and time.monotonic() < deadline:
            time.sleep(0.05)
        self.check("nothing runs on", json.loads(self.server.get("/health"))["running"] == 0)
        self.check("logged as 499", any(line["status"] == 499 for line in self.server.log()))

    def test_observed(self):
        self.chat()
        metrics = self.server.get("/metrics")
        self.check("metrics", 'minke_requests_total{route="/v1/chat/completions",status="200"}' in metrics, metrics[:500])
        self.check("ready", json.loads(self.server.get("/ready"))["status"] == "ok")
        self.check("a page", MODEL in self.server.get("/"))
        chats = [line for line in self.server.log() if line["path"] == "/v1/chat/completions"]
        self.check("the log", chats and chats[-1]["identity"] == "local" and chats[-1]["output_tokens"] > 1, chats[-1:])
        self.check("no prompts in the log", "capital" not in json.dumps(self.server.log()))


def stops_in_order(suite, server):
    """SIGTERM lets a stream end, and the status is 0."""
    stream = suite.chat(stream=True, max_tokens=60, temperature=1, seed=2, extra_body={"ignore_eos": True})
    chunks = iter(stream)
    next(chunks)
    server.process.send_signal(signal.SIGTERM)
    rest = list(chunks)
    suite.check("a stream ends", rest[-1].choices[0].finish_reason == "length", rest[-1])
    suite.check("status 0", server.stop() == 0)


def with_keys(suite, minke):
    server = Server(minke, "--api-key", "alice:secret-one", "--parallel", "1")
    try:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0)
        suite.check("a wrong key", suite.refused(openai.AuthenticationError, client.models.list))
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="secret-one", max_retries=0, timeout=120)
        suite.check("the key", client.models.list().data[0].id == MODEL)
        taken = subprocess.run([minke, "serve", MODEL, "--port", server.url.rsplit(":", 1)[1]], capture_output=True, text=True,
                               check=False, timeout=60)
        suite.check("a taken port is named", taken.returncode == 1 and server.url[7:] in taken.stderr, taken.stderr)
        threads = []
        texts = []
        for _ in range(4):
            threads.append(threading.Thread(target=lambda: texts.append(suite.chat(client).choices[0].message.content)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        suite.check("the queue is served", len(texts) == 4 and len(set(texts)) == 1, texts)
        suite.check("identities are logged", any(line["identity"] == "alice" for line in server.log()))
    finally:
        suite.check("status 0 when idle", server.stop() == 0)
    beyond = subprocess.run([minke, "serve", MODEL, "--host", "0.0.0.0"], capture_output=True, text=True, check=False, timeout=60)
    suite.check("beyond loopback without a key", beyond.returncode == 2 and "--api-key" in beyond.stderr, beyond.stderr)


if __name__ == "__main__":
    main(Suite, "--alias", "gpt-test", last=stops_in_order, after=with_keys)
