"""The official clients of OpenAI's, Anthropic's and Ollama's APIs call tools of Qwen2.5-Coder-0.5B through `minke serve`.

usage: tools_sdk.py --minke BINARY [--sanitized]
Ends with "N passed, N failed"; status 77 and SKIPPED where the model is not in the store.
"""

import json

import anthropic
import ollama
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from minke_server import Checks, main

MODEL = "qwen2.5-coder:0.5b"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "The city's name"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Tells the weather in a city now.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]
THEIRS = [{"name": "get_weather", "description": FUNCTION["description"], "input_schema": SCHEMA}]
SYSTEM = "Call get_weather whenever you are asked about the weather. " + "Say nothing else before the call. " * 8
QUESTION = "What is the weather in Paris now?"
RESULT = "sunny, 31 degrees"
MARKUP = ("<tool_call>", "</tool_call>", "<tools>", "```", "<tool_response>")
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def clean(text):
    return not any(mark in (text or "") for mark in MARKUP)


class Suite(Checks):
    def __init__(self, server):
        super().__init__()
        self.server = server
        self.openai = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)
        self.anthropic = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=120)
        self.ollama = ollama.Client(host=server.url)
        self.messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]

    def chat(self, **fields):
        arguments = {"model": MODEL, "messages": self.messages, "tools": TOOLS, "temperature": 0, "max_tokens": 80, **fields}
        return self.openai.chat.completions.create(**arguments)

    def is_paris(self, arguments):
        try:
            return "Paris" in json.loads(arguments)["city"]
        except (ValueError, KeyError, TypeError):
            return False

    def test_openai_whole(self):
        for choice in ("auto", "required", NAMED):
            reply = self.chat(tool_choice=choice)
            ChatCompletion.model_validate(reply.model_dump())
            message, end = reply.choices[0].message, reply.choices[0].finish_reason
            self.check(f"{choice}: a call", message.tool_calls and end == "tool_calls", reply)
            if not message.tool_calls:
                continue
            call = message.tool_calls[0]
            self.check(f"{choice}: which", call.function.name == "get_weather" and self.is_paris(call.function.arguments), call)
            self.check(f"{choice}: its id", call.id.startswith("call_") and len(call.id) == 37, call)
            self.check(f"{choice}: no markup", clean(message.content), message)

    def test_openai_none(self):
        reply = self.chat(tool_choice="none")
        self.check("none: no call", not reply.choices[0].message.tool_calls and reply.choices[0].finish_reason != "tool_calls", reply)

    def test_openai_stream(self):
        for choice in ("auto", NAMED):
            whole = self.chat(tool_choice=choice).choices[0].message
            name, arguments, first, end, text = None, "", None, None, ""
            for chunk in self.chat(tool_choice=choice, stream=True):
                ChatCompletionChunk.model_validate(chunk.model_dump())
                delta, end = chunk.choices[0].delta, chunk.choices[0].finish_reason or end
                text += delta.content or ""
                for piece in delta.tool_calls or ():
                    if piece.id:
                        first, name = first or piece, piece.function.name
                    arguments += piece.function.arguments or ""
            same = whole.tool_calls and arguments == "".join(c.function.arguments for c in whole.tool_calls)
            self.check("stream: the same", name == "get_weather" and same and end == "tool_calls", (name, arguments, whole))
            self.check("stream: no markup", text == (whole.content or "") and clean(text), text)
            self.check("stream: name first", first and first.index == 0 and first.type == "function" and not first.function.arguments, first)
        with self.openai.chat.completions.stream(model=MODEL, messages=self.messages, tools=TOOLS, temperature=0, max_tokens=80) as stream:
            for _ in stream:
                pass
            final = stream.get_final_completion()
        self.check("gathered by the client", final.choices[0].message.tool_calls, final)

    def test_openai_loop(self):
        """The second turn's prompt begins with the tokens of the first turn's prompt and reply."""
        first = self.chat(seed=7)
        message = first.choices[0].message
        if not message.tool_calls:
            self.check("loop: a call", False, first)
            return
        turn = message.model_dump(exclude_none=True)
        for call in turn["tool_calls"]:  # as clients do that keep objects
            call["function"]["arguments"] = json.dumps(json.loads(call["function"]["arguments"]), separators=(",", ":"))
        results = [{"role": "tool", "tool_call_id": call.id, "content": RESULT} for call in message.tool_calls]
        second = self.chat(messages=[*self.messages, turn, *results], seed=7)
        cached, whole = second.usage.prompt_tokens_details.cached_tokens, first.usage.prompt_tokens + first.usage.completion_tokens
        self.check("loop: the prefix is cached", cached >= (whole - 1) // 64 * 64, (first.usage, second.usage))
        self.check("loop: no markup", clean(second.choices[0].message.content), second)

    def respond(self, **fields):
        arguments = {"model": MODEL, "input": self.messages, "tools": [{"type": "function", "strict": False, **FUNCTION}],
                     "temperature": 0, "max_output_tokens": 80, **fields}
        return self.openai.responses.create(**arguments)

    def test_responses(self):
        """A turn with a call, and the next with its result, whose prompt begins with the first one's tokens."""
        first = self.respond()
        Response.model_validate(first.model_dump(), strict=True)
        calls = [item for item in first.output if item.type == "function_call"]
        self.check("responses: a call", calls and calls[0].name == "get_weather" and self.is_paris(calls[0].arguments), first)
        self.check("responses: no markup", clean(first.output_text), first.output_text)
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": RESULT} for call in calls]
        second = self.respond(input=[*self.messages, *[item.model_dump(exclude_none=True) for item in first.output], *results])
        cached, whole = second.usage.input_tokens_details.cached_tokens, first.usage.total_tokens
        self.check("responses: the prefix is cached", cached >= (whole - 1) // 64 * 64, (first.usage, second.usage))
        self.check("responses: after the result", second.output and clean(second.output_text), second)

    def test_responses_stream(self):
        whole = self.respond()
        asked = {"model": MODEL, "input": self.messages, "temperature": 0, "max_output_tokens": 80,
                 "tools": [{"type": "function", "strict": False, **FUNCTION}]}
        kinds = []
        with self.openai.responses.stream(**asked) as stream:
            for event in stream:
                kinds.append(event.type)
                if event.type == "response.function_call_arguments.delta":
                    snapshot = event.snapshot
            final = stream.get_final_response()

        def said(reply):
            return [(item.type, getattr(item, "arguments", None)) for item in reply.output]

        self.check("responses: the same items", said(final) == said(whole), (final, whole))
        calls = [item for item in final.output if item.type == "function_call"]
        self.check("responses: gathered by the client", calls and snapshot == calls[-1].arguments, kinds)
        self.check("responses: events", "response.function_call_arguments.done" in kinds, kinds)

    def test_responses_kinds(self):
        """Tools of namespaces, with a text, and hosted ones."""
        text = {"type": "custom", "name": "write_note", "description": "Keeps a note, which is its input."}
        space = {"type": "namespace", "name": "office", "description": "Of the office.", "tools": [text]}
        reply = self.respond(tools=[space, {"type": "web_search"}], tool_choice={"type": "custom", "name": "write_note"},
                             input="Note that the milk is empty.")
        Response.model_validate(reply.model_dump())
        calls = [item for item in reply.output if item.type == "custom_tool_call"]
        self.check("a custom call", calls and calls[0].name == "write_note" and calls[0].namespace == "office", reply)
        self.check("its text", calls and calls[0].input and not calls[0].input.startswith("{"), calls)
        self.check("what was left out is said", len(reply.model_extra["warnings"]) == 1, reply.model_extra)
        back = [*[item.model_dump(exclude_none=True) for item in reply.output],
                *[{"type": "custom_tool_call_output", "call_id": call.call_id, "output": "kept"} for call in calls]]
        after = self.respond(tools=[space], input=[{"role": "user", "content": "Note that the milk is empty."}, *back])
        self.check("after a custom call", after.output, after)

    def ask(self, **fields):
        arguments = {"model": MODEL, "system": SYSTEM, "messages": [{"role": "user", "content": QUESTION}], "tools": THEIRS,
                     "max_tokens": 80, "extra_body": {"temperature": 0}, **fields}
        return self.anthropic.messages.create(**arguments)

    def test_anthropic(self):
        for choice in ({"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "get_weather"}):
            message = self.ask(tool_choice=choice)
            Message.model_validate(message.model_dump())
            blocks = [block for block in message.content if block.type == "tool_use"]
            self.check(f"{choice}: a call", blocks and message.stop_reason == "tool_use", message)
            self.check(f"{choice}: which", blocks and "Paris" in str(blocks[0].input), message)
        history = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": [b.model_dump() for b in message.content]},
                   {"role": "user", "content": [{"type": "tool_result", "tool_use_id": blocks[0].id, "content": RESULT}]}]
        after = self.ask(messages=history)
        self.check("after the result", after.content and after.usage.cache_read_input_tokens > 0, after)
        count = self.anthropic.messages.count_tokens(model=MODEL, system=SYSTEM, messages=history, tools=THEIRS).input_tokens
        self.check("counted with tools", count == after.usage.input_tokens + after.usage.cache_read_input_tokens, (count, after.usage))

    def test_anthropic_stream(self):
        whole = self.ask()
        with self.anthropic.messages.stream(model=MODEL, system=SYSTEM, messages=[{"role": "user", "content": QUESTION}], tools=THEIRS,
                                            max_tokens=80, extra_body={"temperature": 0}) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_message()
        said = [(block.type, getattr(block, "input", None)) for block in final.content]
        self.check("the same blocks", said == [(block.type, getattr(block, "input", None)) for block in whole.content], (final, whole))
        self.check("pieces of JSON", "input_json" in kinds, kinds)

    def test_ollama(self):
        options = {"temperature": 0, "num_predict": 80}
        reply = self.ollama.chat(model=MODEL, messages=self.messages, tools=TOOLS, options=options)
        calls = reply.message.tool_calls or []
        self.check("ollama: a call", calls and calls[0].function.name == "get_weather" and "Paris" in str(calls[0].function.arguments), reply)
        streamed = [call for part in self.ollama.chat(model=MODEL, messages=self.messages, tools=TOOLS, options=options, stream=True)
                    for call in part.message.tool_calls or ()]
        self.check("ollama: streamed", [c.function.arguments for c in streamed] == [c.function.arguments for c in calls], streamed)
        history = [*self.messages, reply.message.model_dump(), {"role": "tool", "tool_name": "get_weather", "content": RESULT}]
        after = self.ollama.chat(model=MODEL, messages=history, tools=TOOLS, options=options)
        self.check("ollama: after the result", after.message.content or after.message.tool_calls, after)
        self.check("ollama: told", "tools" in self.ollama.show(MODEL).capabilities)

    def test_refusals(self):
        for fields in ({"tool_choice": {"type": "function", "function": {"name": "no"}}}, {"tools": [{"type": "function"}]},
                       {"tools": [{"type": "retrieval"}]}):
            try:
                self.chat(**fields)
                self.check("refused", False, fields)
            except openai.BadRequestError as error:
                self.check("refused", error.param and error.param.startswith("tool"), error)


if __name__ == "__main__":
    main(Suite, model=MODEL)
