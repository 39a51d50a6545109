#!/usr/bin/env python3
"""Compares our prompts, byte for byte, with the official chat templates rendered by Jinja2.

The environment is the one that transformers sets up for apply_chat_template. 500 seeded random
conversations per template; our side comes from the test program render_lines.

    encodings.py --render-lines BUILD/tests/render_lines [--count 500] [--seed 1] [--templates DIR]
                 [--tokenizer ENCODING=tokenizer.json ...]

--tokenizer also compares the ids with those of Hugging Face `tokenizers` for the whole text, in
conversations that quote no marker (where they do, ours stay ordinary text on purpose).

Needs Jinja2 (Debian: python3-jinja2). Exit status 1 when anything differs, 77 without Jinja2.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys

try:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox
except ImportError:
    print("SKIPPED: needs Jinja2 (Debian: python3-jinja2)")
    sys.exit(77)

DEEPSEEK_BOS, DEEPSEEK_EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
TODAY = "22 Nov 2026"


class Target:
    """One template and the encoding that must equal it."""

    def __init__(self, template, encoding, bos="", eos="", thinking=(None,), unconditional=False, today=False,
                 switch="enable_thinking", edits=(), tools=None, calls=3):
        self.template, self.encoding, self.bos, self.eos = template, encoding, bos, eos
        self.thinking = thinking  # values of the switch to draw from; None: not passed
        self.switch = switch  # the name under which the template knows it
        self.edits = edits  # what to replace in the template, each found exactly once
        self.unconditional = unconditional  # the template ignores add_generation_prompt
        self.today = today  # the template prints the current date
        # How the template wants a call's arguments: "object" or "text"; "calls": text, and it prints no tools.
        # None: it knows neither.
        self.tools = tools
        self.calls = calls  # most calls in a message


ANY = (None, True, False)  # templates without the switch ignore it
NOT_OFF = (None, True)  # "off" is our addition to DeepSeek's templates (docs/encodings.md)
AUTO = (None,)
# Templates that are not among the files differ from one that is; what differs is written down here, in our words of
# docs/encodings.md. DeepSeek LLM's and V2.5's have no such relative: tests/text/encoding_test.cc holds those.
ANSWER = "{{'<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>'}}"
# Without tools R1's differs from V3's in two places: stored answers lose their thinking, and the generation
# prompt opens <think>.
V3_TO_R1 = [
    (ANSWER, ANSWER.replace("content']", "content'].split('</think>')[-1]")),
    ("{{'<｜Assistant｜>'}}", "{{'<｜Assistant｜><think>\\n'}}"),
]
# R1-0528 announces the answer right after each question, so no generation prompt follows a question.
V3_TO_R1_0528 = [
    ("{{'<｜User｜>' + message['content']}}", "{{'<｜User｜>' + message['content'] + '<｜Assistant｜>'}}"),
    (ANSWER, "{{message['content'].split('</think>')[-1] + '<｜end▁of▁sentence｜>'}}"),
    ("add_generation_prompt and not ns.is_tool",
     "add_generation_prompt and (messages | rejectattr('role', 'equalto', 'system') | map(attribute='role') | list"
     " + ['none'])[-2:][0] != 'user' and not ns.is_tool"),
]
R1_DISTILL_FIRST = [("<｜Assistant｜><think>\\n", "<｜Assistant｜>")]
SMOLLM2_DEFAULT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
SMOLLM2_TO_QWEN2 = [(SMOLLM2_DEFAULT, "You are a helpful assistant.")]
SMOLLM2_TO_CHATML = [("{% if loop.first and messages[0]['role'] != 'system' %}", "{% if false %}")]
QWEN3_TO_THINKING = [
    ("{{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking is defined and enable_thinking is false %}\n"
     "        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}", "{{- '<|im_start|>assistant\\n<think>\\n' }}"),
]
# V3's template leaves out the end of a single call, calls beside content, and the beginning of all but the first message
# with calls. Ours writes them whole, which is V3's template with these mended.
CALL_END = "{{'<｜tool▁calls▁end｜><｜end▁of▁sentence｜>'}}"
V3_WITH_CALLS = [
    ("{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}",
     "{%- if message['role'] == 'assistant' and message['tool_calls'] %}"
     "{{'<｜tool▁outputs▁end｜>' if ns.is_tool else '<｜Assistant｜>'}}"
     "{%- set ns.is_tool = false -%}{%- set ns.is_first = false -%}{%- set ns.is_output_first = true -%}"
     "{%- set said = message['content'] or '' -%}"),
    ("{{'<｜Assistant｜><｜tool▁calls▁begin｜>", "{{said + '<｜tool▁calls▁begin｜>"),
    (CALL_END + "{%- endif %}{%- endfor %}", "{%- endif %}{%- endfor %}" + CALL_END),
    ("message['role'] == 'assistant' and message['content'] is not none", "message['role'] == 'assistant' and not message['tool_calls']"),
]
LATER_THINKING = ("{{said + '<", "{{said.split('</think>')[-1] + '<")
ANNOUNCED = ("'<｜tool▁outputs▁end｜>' if ns.is_tool else '<｜Assistant｜>'", "'<｜tool▁outputs▁end｜>' if ns.is_tool else ''")
# V3.1's template leaves the tools to the caller; its model card has this.
V3_1_TOOLS = [(
    "{{ bos_token }}{{ ns.system_prompt }}",
    "{{ bos_token }}{{ ns.system_prompt }}{%- if tools -%}{{'\n\n## Tools\nYou have access to the following tools:\n\n'}}"
    "{%- for tool in tools -%}{{'### ' + tool.function.name + '\nDescription: ' + tool.function.description"
    " + '\n\nParameters: ' + (tool.function.parameters | tojson) + '\n\n'}}{%- endfor -%}"
    "{{'IMPORTANT: ALWAYS adhere to this exact format for tool use:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool_call_name"
    "<｜tool▁sep｜>tool_call_arguments<｜tool▁call▁end｜>{additional_tool_calls}<｜tool▁calls▁end｜>\n\nWhere:\n"
    "- `tool_call_name` must be an exact match to one of the available tools\n"
    "- `tool_call_arguments` must be valid JSON that strictly follows the tool\\'s Parameters Schema\n"
    "- For multiple tool calls, chain them directly without separators or spaces'}}{%- endif -%}",
)]
# Qwen's own GGUF doubles the braces of the form; ours does not.
CODER_BRACES = [("{{\\\"name\\\": <function-name>, \\\"arguments\\\": <args-json-object>}}",
                 "{\\\"name\\\": <function-name>, \\\"arguments\\\": <args-json-object>}")]
TARGETS = [
    Target("deepseek-r1-distill", "r1-distill-qwen", DEEPSEEK_BOS, DEEPSEEK_EOS, NOT_OFF),
    Target("deepseek-r1-distill", "r1-distill-llama", DEEPSEEK_BOS, DEEPSEEK_EOS, NOT_OFF),
    Target("deepseek-r1-distill-tidied", "r1-distill-qwen", DEEPSEEK_BOS, DEEPSEEK_EOS, NOT_OFF),
    Target("deepseek-r1-distill", "r1-distill-original", DEEPSEEK_BOS, DEEPSEEK_EOS, AUTO, edits=R1_DISTILL_FIRST),
    Target("deepseek-v3", "r1-0528-qwen3", DEEPSEEK_BOS, DEEPSEEK_EOS, AUTO, edits=V3_TO_R1_0528),
    Target("smollm2", "chatml", thinking=ANY, edits=SMOLLM2_TO_CHATML),
    Target("smollm2", "qwen2", thinking=ANY, edits=SMOLLM2_TO_QWEN2),
    Target("smollm2", "smollm2", thinking=ANY),
    Target("qwen2.5", "qwen2.5", thinking=ANY, tools="object"),
    Target("qwen2.5-coder-gguf", "qwen2.5", thinking=ANY, tools="object", edits=CODER_BRACES),
    Target("qwen3", "qwen3", thinking=ANY, tools="object"),
    Target("qwen3", "qwen3-thinking", thinking=NOT_OFF, edits=QWEN3_TO_THINKING, tools="object"),
    Target("llama3", "llama3", "<|begin_of_text|>", thinking=ANY),
    Target("llama3-original", "llama3", "<|begin_of_text|>", thinking=ANY, unconditional=True),
    Target("llama3.1", "llama3.1", "<|begin_of_text|>", thinking=ANY, tools="object", calls=1),
    Target("llama3.2", "llama3.1", "<|begin_of_text|>", thinking=ANY, today=True, tools="object", calls=1),
    Target("deepseek-v3", "deepseek-v3", DEEPSEEK_BOS, DEEPSEEK_EOS, ANY),
    Target("deepseek-v3", "deepseek-r1", DEEPSEEK_BOS, DEEPSEEK_EOS, NOT_OFF, edits=V3_TO_R1),
    Target("deepseek-v3.1", "deepseek-v3.1", DEEPSEEK_BOS, DEEPSEEK_EOS, ANY, switch="thinking", edits=V3_1_TOOLS,
           tools="text"),
    Target("deepseek-v3", "deepseek-v3", DEEPSEEK_BOS, DEEPSEEK_EOS, ANY, edits=V3_WITH_CALLS, tools="calls"),
    Target("deepseek-v3", "deepseek-r1", DEEPSEEK_BOS, DEEPSEEK_EOS, NOT_OFF, tools="calls",
           edits=V3_WITH_CALLS + V3_TO_R1 + [LATER_THINKING]),
    Target("deepseek-v3", "r1-0528-qwen3", DEEPSEEK_BOS, DEEPSEEK_EOS, AUTO, tools="calls",
           edits=V3_WITH_CALLS + V3_TO_R1_0528 + [LATER_THINKING, ANNOUNCED]),
    Target("glm-4.6", "glm-4.5", thinking=ANY, tools="object"),
    Target("glm-4.7", "glm-4.7", thinking=ANY, tools="object"),
]


def environment():
    """As transformers.utils.chat_template_utils compiles templates."""

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda _format: TODAY
    return env


WORDS = [
    "Hello", "why?", "the answer is 42", "你好，世界", "深度求索", "école", "naïve", "Привет", "العربية", "हिन्दी", "🦭🌊",
    "👩‍👩‍👧", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u0085", "\u2028", "\x1c", "\x0b", "\t", "\n", "\n\n",
    "\r\n", " ", "   ", "```c\nint main() {}\n```", "{{ bos_token }}", "{% if %}", "\\n", "'quoted\"", "<b>&amp;</b>",
    "<think>", "</think>", "<think>\n", "\n</think>\n\n", "<|im_start|>", "<|im_end|>", "<|im_start|>system\n",
    "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>", "<｜User｜>",
    "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<tool_call>", "<tool_response>", "</tool_response>",
    "User: ", "Assistant:", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "/nothink",
]


def random_text(rng, longest=8):
    kind = rng.random()
    if kind < 0.06:
        return ""
    if kind < 0.09:
        return "".join(rng.choice([" ", "\n", "\t", "\u3000", "\u0085"]) for _ in range(rng.randint(1, 4)))
    return rng.choice(["", " "]).join(rng.choice(WORDS) for _ in range(rng.randint(1, longest)))


def random_message(rng, role):
    message = {"role": role, "content": random_text(rng)}
    if role == "user" and rng.random() < 0.1:
        message["content"] = "<tool_response>" + message["content"] + "</tool_response>"
    if role == "user" and rng.random() < 0.1:
        message["content"] += "/nothink"
    if role == "assistant":
        kind = rng.random()
        if kind < 0.35:
            opening = rng.choice(["<think>\n", "<think>", "", "\n\n<think>\n\n"])
            closing = rng.choice(["\n</think>\n\n", "</think>", "\n\n</think>\n"])
            message["content"] = opening + random_text(rng) + closing + message["content"]
        elif kind < 0.65:
            message["reasoning_content"] = rng.choice(["", "\n", "\n\n"]) + random_text(rng) + rng.choice(["", "\n\n"])
            if rng.random() < 0.15:
                message["reasoning_content"] = ""
    return message


NAMES = ["get_weather", "search", "lookup-2", "run_query", "wetter_für", "f"]


def random_json(rng, depth):
    kind = rng.random()
    if depth > 2 or kind < 0.5:
        return rng.choice([
            random_text(rng, 3), rng.choice(["string", "object", "kph", ""]), 0, -7, 10**30, 2**64 - 1, 1.0, -0.5, 0.1,
            1e16, 1.5e-7, 123456789.25, 1e22, 5e-324, True, False, None, {}, [],
        ])
    if kind < 0.75:
        return {random_text(rng, 1) or "k": random_json(rng, depth + 1) for _ in range(rng.randint(1, 3))}
    return [random_json(rng, depth + 1) for _ in range(rng.randint(1, 3))]


def random_object(rng):
    return {rng.choice(["city", "unit", "größe", "a\"b", "n"]): random_json(rng, 0) for _ in range(rng.randint(0, 3))}


def random_tool(rng):
    function = {
        "name": rng.choice(NAMES),
        "description": random_text(rng),
        "parameters": {"type": "object", "properties": random_object(rng)},
    }
    if rng.random() < 0.3:
        function["strict"] = True
    return {"type": "function", "function": function}


def spelled(rng, value):
    """One of the ways in which the same JSON may come."""
    return json.dumps(value, ensure_ascii=rng.random() < 0.5,
                      indent=rng.choice([None, None, 2]), separators=rng.choice([None, (",", ":")]))


def add_tools(rng, target, request):
    """Calls and their results in a conversation, and tools in front of it; what ours is given and the template's form."""
    if target.tools != "calls" and rng.random() < 0.6:
        request["tools"] = [random_tool(rng) for _ in range(rng.randint(1, 3))]
    messages = []
    for message in request["messages"]:
        messages.append(message)
        if message["role"] != "assistant" or rng.random() < 0.4:
            continue
        if rng.random() < 0.4:
            message["content"] = ""
        count = rng.randint(1, target.calls)
        message["tool_calls"] = [
            {"name": rng.choice(NAMES), "arguments": spelled(rng, random_object(rng))} for _ in range(count)
        ]
        if rng.random() < 0.9:
            messages += [{"role": "tool", "content": random_text(rng)} for _ in range(count)]
    request["messages"] = messages


def for_template(target, message):
    """A message as the template's users pass it."""
    if "tool_calls" not in message:
        return message
    shown = dict(message, tool_calls=[])
    for call in message["tool_calls"]:
        arguments = json.loads(call["arguments"]) if target.tools == "object" else call["arguments"]
        shown["tool_calls"].append({"type": "function", "function": {"name": call["name"], "arguments": arguments}})
    if target.tools != "object" and not message["content"]:
        shown["content"] = None
    return shown


def random_conversation(rng):
    if rng.random() < 0.01:
        return []
    roles = ["system"] if rng.random() < 0.5 else []
    if rng.random() < 0.8:  # the usual: user and assistant in turn
        for _ in range(rng.randint(0, 3)):
            roles += ["user", "assistant"]
        if rng.random() < 0.8 or not roles:
            roles.append("user")
    else:  # anything
        roles += [rng.choice(["system", "user", "assistant"]) for _ in range(rng.randint(1, 7))]
    return [random_message(rng, role) for role in roles]


def random_request(rng, target):
    request = {
        "encoding": target.encoding,
        "messages": random_conversation(rng),
        "add_generation_prompt": target.unconditional or rng.random() < 0.7,
    }
    thinking = rng.choice(target.thinking)
    if thinking is not None:
        request["enable_thinking"] = thinking
    if target.encoding == "llama3.1" and rng.random() < 0.5:
        request["date"] = rng.choice(["01 Jan 2025", "29 Feb 2028"])
    if target.tools and rng.random() < 0.7:
        add_tools(rng, target, request)
    return request


def for_ours(target, request):
    request = dict(request)
    if target.today and "date" not in request:
        request["date"] = TODAY
    if "tools" in request:
        request["tools"] = [json.dumps(tool) for tool in request["tools"]]
    return request


def expected(template, target, request):
    """The official text, or None where the template raises."""
    context = {
        "messages": [for_template(target, message) for message in request["messages"]],
        "tools": request.get("tools"),
        "documents": None,
        "add_generation_prompt": request["add_generation_prompt"],
        "bos_token": target.bos,
        "eos_token": target.eos,
    }
    if "enable_thinking" in request:
        context[target.switch] = request["enable_thinking"]
    if "date" in request:
        context["date_string"] = request["date"]
    try:
        return template.render(**context)
    except jinja2.exceptions.TemplateError:
        return None


def run(render_lines, requests, tokenizer=None):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([render_lines] + ([tokenizer] if tokenizer else []), input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def quotes_marker(request):
    said = json.dumps([request["messages"], request.get("tools")])
    return any(mark in said.replace("<b>", "").replace("</b>", "") for mark in ["<", "[gMASK]", "/nothink"])


def compare_ids(render_lines, target, tokenizer, count, seed):
    # This folder has a tokenizers.py of its own.
    sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != pathlib.Path(__file__).resolve().parent]
    import tokenizers

    reference = tokenizers.Tokenizer.from_file(tokenizer)
    rng = random.Random(f"ids {seed} {target.encoding}")
    requests = []
    while len(requests) < count:
        request = random_request(rng, target)
        if request["messages"] and not quotes_marker(request):
            requests.append(for_ours(target, request))
    bad = refused = 0
    for request, got in zip(requests, run(render_lines, requests, tokenizer)):
        if got.get("error") == "invalid_argument":  # what may be refused is the templates' to say, above
            refused += 1
            continue
        want = reference.encode(got.get("text", ""), add_special_tokens=False).ids
        if got.get("ids") != want:
            bad += 1
            if bad <= 2:
                print(f"{target.encoding}: {json.dumps(request, ensure_ascii=False)}\n  want {want}\n  got  {got}")
    print(f"{target.encoding}: ids of {count - bad - refused} prompts equal, {bad} differ ({refused} refused)")
    return count - bad - refused, bad


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser()
    parser.add_argument("--render-lines", required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizer", action="append", default=[], metavar="ENCODING=FILE")
    parser.add_argument("--templates", type=pathlib.Path, default=here.parent / "data" / "templates")
    arguments = parser.parse_args()

    env = environment()
    passed = failed = 0
    for target in TARGETS:
        rng = random.Random(f"{arguments.seed} {target.template} {target.encoding}")
        source = (arguments.templates / f"{target.template}.jinja").read_bytes().decode()
        for old, new in target.edits:
            if source.count(old) != 1:
                sys.exit(f"{target.template}: {old} stands there {source.count(old)} times")
            source = source.replace(old, new)
        template = env.from_string(source)
        requests = [random_request(rng, target) for _ in range(arguments.count)]
        wanted = [expected(template, target, request) for request in requests]
        answers = run(arguments.render_lines, [for_ours(target, request) for request in requests])
        if len(answers) != len(requests):
            sys.exit(f"{target.template}: {len(answers)} answers to {len(requests)} requests")
        bad = refused = 0
        for request, want, got in zip(requests, wanted, answers):
            refused += want is None
            same = got.get("error") == "invalid_argument" if want is None else got.get("text") == want
            if not same:
                bad += 1
                if bad <= 2:
                    print(f"{target.template}: {json.dumps(request, ensure_ascii=False)}\n  want {want!r}\n  got  {got!r}")
        passed += len(requests) - bad
        failed += bad
        print(f"{target.template} as {target.encoding}: {len(requests) - bad} passed ({refused} refused by both), {bad} failed")
    for pair in arguments.tokenizer:
        encoding, tokenizer = pair.split("=", 1)
        target = next(target for target in TARGETS if target.encoding == encoding)
        good, bad = compare_ids(arguments.render_lines, target, tokenizer, arguments.count, arguments.seed)
        passed += good
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
