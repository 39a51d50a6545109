"""The official Python client of Anthropic's API against `minke serve` with SmolLM2.

usage: anthropic_sdk.py --minke BINARY [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where the model is not in the store.
"""

import json

import anthropic
from anthropic.types import Message

from minke_server import MODEL, Checks, main

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]

GREEDY = {"temperature": 0}  # no argument of the client's any more, still a field of the API


class Suite(Checks):
    def __init__(self, server):
        super().__init__()
        self.server = server
        self.client = anthropic.Anthropic(base_url=server.url, api_key="secret-one", max_retries=0, timeout=120)

    def ask(self, **fields):
        arguments = {"model": MODEL, "messages": QUESTION, "max_tokens": 24, "extra_body": GREEDY, **fields}
        return self.client.messages.create(**arguments)

    def test_message(self):
        message = self.ask()
        self.check("an answer", message.content[0].type == "text" and "Paris" in message.content[0].text, message)
        self.check("its end", message.stop_reason in ("end_turn", "max_tokens"), message)
        self.check("by any name of theirs", self.ask(model="claude-sonnet-9").content[0].text == message.content[0].text)
        self.check("max_tokens", self.ask(max_tokens=2).stop_reason == "max_tokens")
        stopped = self.ask(stop_sequences=["Paris"])
        self.check("stop_sequence", stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == "Paris", stopped)
        status, text = self.server.post("/v1/messages", {"model": MODEL, "messages": QUESTION, "max_tokens": 3},
                                        {"x-api-key": "secret-one"})
        self.check("status", status == 200, text)
        Message.model_validate(json.loads(text), strict=True)

    def test_stream(self):
        whole = self.ask()
        with self.client.messages.stream(model=MODEL, messages=QUESTION, max_tokens=24, extra_body=GREEDY) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.check("the same text", text == whole.content[0].text, text)
        self.check("gathered by the client", final.content[0].text == text and final.stop_reason == whole.stop_reason, final)
        self.check("usage", final.usage.output_tokens == whole.usage.output_tokens, final.usage)

    def test_count(self):
        count = self.client.messages.count_tokens(model=MODEL, messages=QUESTION, system="Be brief.").input_tokens
        usage = self.ask(system="Be brief.", max_tokens=1).usage
        self.check("count_tokens", count == usage.input_tokens + usage.cache_read_input_tokens, (count, usage))

    def test_cache(self):
        system = "You know these numbers: " + ", ".join(str(i) for i in range(150))

        def ask(mark):
            billing = {"type": "text", "text": f"x-anthropic-billing-header: cch={mark}"}
            return self.ask(system=[billing, {"type": "text", "text": system}], max_tokens=1).usage

        first, second = ask("one"), ask("two")
        self.check("a prefix is found behind what changes", second.cache_read_input_tokens > 0, (first, second))

    def test_errors(self):
        for kind, fields in ((anthropic.NotFoundError, {"model": "nope"}), (anthropic.BadRequestError, {"extra_body": {"temperature": 7}}),
                             (anthropic.BadRequestError, {"tools": [{"name": "", "input_schema": {"type": "object"}}]})):
            try:
                self.ask(**fields)
                self.check(kind.__name__, False, fields)
            except kind as error:
                self.check(kind.__name__, error.body["type"] == "error" and error.request_id, error.body)
        stranger = anthropic.Anthropic(base_url=self.server.url, api_key="wrong", max_retries=0)
        try:
            stranger.messages.create(model=MODEL, messages=QUESTION, max_tokens=1)
            self.check("a wrong key", False)
        except anthropic.AuthenticationError as error:
            self.check("a wrong key", error.body["error"]["type"] == "authentication_error", error.body)


if __name__ == "__main__":
    main(Suite, "--api-key", "alice:secret-one")
