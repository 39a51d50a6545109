"""The official Python client of Ollama's API against `minke serve` with SmolLM2.

usage: ollama_sdk.py --minke BINARY [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where the model is not in the store.
"""

import json

import ollama

from minke_server import MODEL, Checks, main

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
GREEDY = {"temperature": 0, "num_predict": 24}


class Suite(Checks):
    def __init__(self, server):
        super().__init__()
        self.server = server
        self.client = ollama.Client(host=server.url)

    def test_models(self):
        names = [m.model for m in self.client.list().models]
        self.check("list", names == [MODEL, "short"], names)
        self.check("ps", self.client.ps().models[0].model == MODEL)
        self.check("show", self.client.show(MODEL).modelinfo["llama.context_length"] == 2048)
        self.check("version", json.loads(self.server.get("/api/version"))["version"])

    def test_chat(self):
        whole = self.client.chat(model=MODEL, messages=QUESTION, options=GREEDY)
        self.check("an answer", whole.done and "Paris" in whole.message.content, whole)
        self.check("counts", whole.prompt_eval_count > 10 and whole.eval_count > 2 and whole.eval_duration > 0, whole)
        parts = list(self.client.chat(model="short:latest", messages=QUESTION, options=GREEDY, stream=True))
        text = "".join(p.message.content for p in parts)
        self.check("the same in parts", text == whole.message.content and parts[-1].done and len(parts) > 3, text)
        short = self.client.chat(model=MODEL, messages=QUESTION, options={"temperature": 0, "num_predict": 2})
        self.check("num_predict", short.done_reason == "length" and short.eval_count == 2, short)
        cut = self.client.chat(model=MODEL, messages=QUESTION, options={**GREEDY, "stop": ["Paris"]})
        self.check("stop", cut.message.content == whole.message.content.split("Paris")[0], cut)

    def test_generate(self):
        raw = self.client.generate(model=MODEL, prompt="One, two, three,", raw=True, options=GREEDY)
        self.check("raw", "four" in raw.response, raw)
        told = self.client.generate(model=MODEL, prompt=QUESTION[0]["content"], system="You are brief.", options=GREEDY)
        self.check("through the encoding", "Paris" in told.response, told)
        self.check("nothing loads", self.client.generate(model=MODEL).done_reason == "load")

    def test_constrained(self):
        schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
                  "additionalProperties": False}
        try:
            whole = self.client.chat(model=MODEL, messages=QUESTION, format=schema, options={**GREEDY, "num_predict": 60})
        except ollama.ResponseError as error:
            self.check("none in this build", error.status_code == 400, error)
            return
        self.check("a schema", list(json.loads(whole.message.content)) == ["city"], whole)
        told = self.client.generate(model=MODEL, prompt="A JSON object.", format="json", options={"seed": 1, "num_predict": 200})
        if told.done_reason == "stop":
            self.check("json", isinstance(json.loads(told.response), dict), told)

    def test_errors(self):
        for status, call in ((404, lambda: self.client.chat(model="nope", messages=QUESTION)),
                             (400, lambda: self.client.chat(model=MODEL, messages=QUESTION, options={"temperature": 9}))):
            try:
                call()
                self.check("an error", False, status)
            except ollama.ResponseError as error:
                self.check("an error", error.status_code == status and error.error, error)


if __name__ == "__main__":
    main(Suite, "--alias", "short")
