#!/usr/bin/env python3
"""Writes tests/data/chat/*.json: chat templates, conversations and what Jinja2 makes of them.

The environment is that of transformers' apply_chat_template (trim_blocks, lstrip_blocks, immutable sandbox, loop
controls, its tojson). The prompt formats are those of the public model cards; where the original is long, the
template here is a shorter one of the same format and with the same constructs, without the branches for tools.

    pip install jinja2
    scripts/make_chat_data.py [--extra DIR --out DIR]     # --extra: also every *.jinja in DIR
"""
import argparse
import datetime
import json
import pathlib

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOON = 1741348800  # 2025-03-07 12:00 UTC: the same day in nearly every time zone

LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
LLAMA3 = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
CHATML = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>", "pad_token": "<|im_end|>"}

TEMPLATES = {
    "smollm2": (CHATML, "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
        "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
    "llama2": (LLAMA, "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('user and assistant must take turns') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"),
    "llama3": (LLAMA3, "{% set loop_messages = messages %}{% for message in loop_messages %}"
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
        " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"),
    "llama3_2": (LLAMA3, """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message comes out of the list, so that it can stand first with the dates. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" + (tools | tojson(indent=4)) }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one tool call at a time") }}
        {%- endif %}
        {{- message.tool_calls[0].function.arguments | tojson }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""),
    "qwen2": ({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
    "qwen2_5": ({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- tool_call.arguments | tojson }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""),
    "mistral_v1": (LLAMA, "{{ bos_token }}{% for message in messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('user and assistant must take turns') }}{% endif %}"
        "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
        "{% else %}{{ raise_exception('there are only users and assistants') }}{% endif %}{% endfor %}"),
    "mistral_v3": (LLAMA, """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Turns must alternate; calls of tools do not count. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("user and assistant must take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] " + (tools | tojson) + "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- raise_exception("there are users, assistants and at first a system message") }}
    {%- endif %}
{%- endfor %}
"""),
    "tinyllama": (LLAMA, "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
        "{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n"
        "{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
        "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"),
    # The rest is ours: constructs that model cards use here and there, one after the other.
    "white_space": (LLAMA, "  {% if true %}\n  a\n  {% endif %}  \n\n {{- ' b ' -}} \n c\n\t{# gone #}\n d {# x -#}\n e\n"
        "{%+ if true +%}\n f {%- endif %}\n  {%- for m in messages -%}  {{ m.role }}  {%- endfor -%}  \n"
        "{% raw %}\n {{ raw }} {% x %}\n{% endraw %}\n  {{ 'g' }}\n  {% set x = 1 %}  h\n\n\n"),
    "line_ends": (LLAMA, "a\r\n{% if true %}\r\nb\r{% endif %}\r\nc\r\n{{ 'x\r\ny' }}\r\n"),
    "expressions": (LLAMA, """{{ 1 + 2 * 3 - 4 // 3 }} {{ 7 % 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 3 }} {{ 7 / 2 }} {{ 1.5 + 1 }} {{ 1e3 }}
{{ 'a' ~ 1 ~ none ~ true ~ 2.0 }} {{ not true or true and false }} {{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ true == 1 }}
{{ 'b' in 'abc' }} {{ 'x' not in ['a', 'b'] }} {{ 'role' in messages[0] }} {{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1} }} {{ 'a' != none }}
{{ (1, 2)[1] }} {{ [1, 2, 3][-1] }} {{ 'häß€😀x'[2] }} {{ 'häß€😀x'[1:-1] }} {{ 'häß€😀x'[::-1] }} {{ 'abc'[5:] }}|{{ 'abc'[:2] }} {{ [1,2,3,4][1:3] | length }} {{ [1,2,3,4][::2] | join(',') }}
{{ 'yes' if messages else 'no' }} {{ 'yes' if false }}| {{ 'a' if false else 'b' if false else 'c' }}
{{ missing }}|{{ missing is defined }} {{ messages[0].nothing is undefined }} {{ none is none }} {{ 'x' is string }} {{ 1 is number }} {{ messages is iterable }} {{ messages[0] is mapping }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 3 is not even }} {{ 1 is eq 1 }} {{ true is boolean }} {{ 2 is in [1, 2] }}
{{ "tab\\tq\\"uote\\x41\\u00e4\\101 \\q" }} {{ 'one' 'two' }} {{ 10_000 }} {{ [] | length }} {{ {'k': [1, 'v', none, true, 1.5]} | tojson }} {{ {'ä': '<a href="\\\\x">\\n'} | tojson }}
{{ {'a': {'b': []}, 'c': [1, {}]} | tojson(indent=2) }}
"""),
    "filters": (LLAMA, """{{ '  x \\n' | trim }}|{{ 'xxaxx' | trim('x') }} {{ 'Äbc' | upper }} {{ 'ÄBC' | lower }} {{ 'straße' | upper }} {{ 'hELLO' | capitalize }} {{ 'a-b-c' | replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }}
{{ missing | default('d') }} {{ '' | default('e', true) }} {{ '' | default('f') }}| {{ [1, 2] | first }} {{ [1, 2] | last }} {{ 'häß' | length }} {{ [1, 'b'] | join('-') }} {{ messages | map(attribute='role') | join(',') }} {{ ['a', 'b'] | map('upper') | join }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | join('/') }} {{ messages | selectattr('tool_calls', 'undefined') | list | count }} {{ [0, 1, 2] | select | list | length }} {{ [1, 2, 3] | select('odd') | join(',') }}
{{ '12' | int + 1 }} {{ 'x' | int }} {{ 12 | string + '!' }} {{ 'abc' | list | join('.') }} {% for k, v in {'a': 1, 'b': 2} | items %}{{ k }}={{ v }};{% endfor %}
"""),
    "methods": (LLAMA, """{{ '  x '.strip() }}|{{ '  x '.lstrip() }}|{{ '  x '.rstrip() }}|{{ '--x-'.strip('-') }}|{{ ' \\u00a0\\u2003\\x1c x'.strip() }}|
{{ 'a,b,,c'.split(',') | join('|') }} {{ ' a  b c '.split() | join('|') }} {{ 'a b c d'.split(' ', 1) | join('|') }} {{ 'a b c d'.split(none, 2) | join('|') }} {{ 'a,b,c'.rsplit(',', 1) | join('|') }} {{ 'x</think>y'.split('</think>')[-1] }} {{ ''.split(',') | length }} {{ ''.split() | length }}
{{ 'hello'.startswith('he') }} {{ 'hello'.endswith(('x', 'lo')) }} {{ 'aXbX'.replace('X', '') }} {{ 'Ab'.upper() }} {{ 'Ab'.lower() }} {{ 'äb C'.capitalize() }} {{ '-'.join(['a', 'b']) }}
{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %} {{ {'a': 1, 'b': 2}.keys() | list | join }} {{ {'a': 1, 'b': 2}.values() | list | join }} {{ messages[0].get('content') | length }}
"""),
    "loops": (LLAMA, """{% for m in messages if m.role != 'system' %}
{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.previtem.role if loop.previtem is defined else '-' }} {{ loop.nextitem.role if loop.nextitem is defined else '-' }}
{% else %}
none
{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %} {% for i in range(8, 2, -2) %}{{ i }}{% endfor %}
{% set x = 'outer' %}{% for i in [1, 2] %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(n=0, seen=false) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% if m.role == 'user' %}{% set ns.seen = true %}{% endif %}{% endfor %}{{ ns.n }} {{ ns.seen }}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% for a, b in [[1, 2], (3, 4)] %}{{ a + b }} {% endfor %}
{% set block %}<{{ messages[0].role }}>{% endset %}{{ block | length }} {{ block }}
{% for c in 'aß😀' %}{{ c }}.{% endfor %} {% for i in [1, 2] %}{% for j in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
"""),
}

CONVERSATIONS = {
    "user": [("user", "What is the capital of France?")],
    "system_user": [("system", "Answer in one short sentence."), ("user", "Why is the sky blue?")],
    "turns": [("user", "Hi, my name is Zo\u00eb."), ("assistant", "Hello Zo\u00eb! How can I help?"), ("user", "  Count to 12,\nthen stop.  ")],
    "system_turns": [("system", "  Be brief.\n"), ("user", "one"), ("assistant", " two "), ("user", "three"), ("assistant", "four")],
    "unicode": [("user", "\u3000\u00a0Gr\u00fc\u00dfe \U0001f469\u200d\U0001f680 \u4f60\u597d \u0645\u0631\u062d\u0628\u0627 e\u0301\u2028")],
    "empty": [("system", ""), ("user", ""), ("assistant", ""), ("user", " ")],
    "tags": [("user", "{{ bos_token }} {% raw %} <|im_end|></s>[INST] <<SYS>> {# x #} \\n 'quoted' \"twice\"\r\nend")],
    "system_only": [("system", "Nothing else.")],
    "two_users": [("user", "a"), ("user", "b")],
    "tool": [("user", "a"), ("assistant", "b"), ("tool", "{\"x\": 1}"), ("user", "c")],
}


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(form):
        return datetime.datetime.fromtimestamp(NOON, datetime.timezone.utc).strftime(form)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def render(env, template, tokens, messages, generation):
    case = {"messages": messages, "add_generation_prompt": generation}
    try:
        case["rendered"] = env.from_string(template).render(
            messages=messages, tools=None, documents=None, add_generation_prompt=generation, **tokens)
    except Exception as error:
        case["error"] = f"{type(error).__name__}: {error}"
    return case


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--extra", type=pathlib.Path)
    arguments.add_argument("--out", type=pathlib.Path, default=here / "tests" / "data" / "chat")
    arguments = arguments.parse_args()
    templates = dict(TEMPLATES)
    if arguments.extra:
        for path in sorted(arguments.extra.glob("*.jinja")):
            templates[path.stem] = (LLAMA, path.read_text())
    env = environment()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, (tokens, template) in templates.items():
        cases = []
        for conversation, turns in CONVERSATIONS.items():
            messages = [{"role": role, "content": content} for role, content in turns]
            for generation in (True, False):
                case = {"name": f"{conversation}{'' if generation else ', no generation prompt'}"}
                case.update(render(env, template, tokens, messages, generation))
                cases.append(case)
        data = {"made_by": f"Jinja2 {jinja2.__version__}", "now": NOON, "tokens": tokens, "template": template, "cases": cases}
        path = arguments.out / f"{name}.json"
        path.write_text(json.dumps(data, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
