"""Renders small templates with jinja2, set up as transformers does, to golden/templates.jsonl.

    python make_template_goldens.py

The first line holds the sets of variables. Every other one: template, the number of its set of variables, and text, or
"error": true where jinja2 refuses. Chat templates in the manner of the common model families are at the end.
"""
import json
import os

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))


def make_environment():
    def raise_exception(message):
        raise TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters['tojson'] = tojson
    env.globals['raise_exception'] = raise_exception
    return env


V = {'s': 'Hello', 'ja': '日本語テキスト', 'e': '', 'n': 3, 'z': 0, 'f': 2.5, 't': True, 'no': None, 'l': [3, 1, 2],
     'w': ['a', 'b', 'c'], 'd': {'a': 1, 'b': 'x', 'items': 'mine'}, 'nested': {'k': [{'v': 7}]}, 'pad': '  x y  ',
     'q': 'say "hi"\n\t\\ \x01 é 😀'}

TEXT = [  # white space control and raw text
    '', 'plain', 'a\n', 'a\n\n', '\n', ' a \n', 'a\r\nb\rc\n', '{{ s }}\n', '{{ s }}\n\n', '{{ s }}\nx', ' {{ s }} ',
    '{% if t %}\nx\n{% endif %}\ny', '  {% if t %}\n  x\n  {% endif %}\n  y', 'a {% if t %} b {% endif %} c',
    'a\n   {% if t %}b{% endif %}   \nc', '{%- if t -%}\n x \n{%- endif -%}\n y', 'a  {%- if t %}  b{% endif %}',
    'a\n  {%+ if t %}x{% endif %}', '{% if t +%}\nx{% endif %}', '  {{- s }}  ', '  {{ s -}}  \n x', '{{- s -}}',
    'a\n {{ s }}\n', '\t{% set x = 1 %}\t\nb', 'x{# c #}y', 'x\n  {# c #}\ny', 'x {#- c -#} y', 'x\n{# c #}\n\ny',
    '{#-#}x', '{# {{ s }} {% if %} #}x', '{#+ c +#}\nx', 'a{# b', '{% raw %}{{ s }}{% endraw %}',
    'a {%- raw -%} {{ s }} {%- endraw -%} b', '{% raw %}\nx\n{% endraw %}\ny', '  {% raw %}x{% endraw %}\n  y',
    '{% raw %}x', '{ { s } }', '{', '{{', '}}', '%}', 'a{%', '{% %}', '{{ }}', '{{ s', '{{ s }', '{% if t', 'x{{s}}y',
    '{{s}}{{n}}', 'a\n\n  \n  {% if t %}x{% endif %}', 'a\u3000{%- if t %}x{% endif %}', '{% if t %}{% endif %}\n\nx',
    '{% if t -%}\n\n  x{% endif %}', '日本 {{ s }} 語', '{{ "}}" }}', '{{ "%}" }}{% if "%}" %}x{% endif %}',
    '{% for i in l %}\n{{ i }}\n{% endfor %}\n', '{% for i in l -%}\n {{ i }}\n{%- endfor %}\n|',
    'a\n\x0b {% if t %}x{% endif %}', '{%if t%}x{%endif%}', '{%\nif\nt\n%}x{%endif%}\n\n',
]

EXPRESSIONS = [  # each printed
    '1', '1.5', '1_000', '1e3', '1e-7', '1e16', '123456789.125', '0.1 + 0.2', '100000000000000000000.0', '-0.0', '1 / 3', '2 / 1',
    "'a'", '"a"', "'a' 'b'", "'a\\n\\t\\\\\\'\\x41\\u3042\\101'", '"\\d"', "'\\U0001F600'", 'true', 'True', 'false', 'none', 'None',
    'missing', 'missing.x', 'missing[0]', 'missing()', 's.missing', 's.missing.x', 'no', 'no.x', 'no.x.y', 'n.x', "d['a']",
    'd.a', 'd.b', 'd.missing', "d['missing']", "d['items']", 'd.items', 'd.items() | list | length', "d.get('a')",
    "d.get('z')", "d.get('z', 5)", 'nested.k[0].v', "nested['k'][0]['v']", 'nested.k.0.v', 'l[0]', 'l[-1]', 'l[9]', 'l["x"]',
    's[0]', 's[-1]', 's[9]', 'ja[1]', 'ja[-1]', 'l[1.5]', 'l[true]',
    'l[1:] | join', 'l[:-1] | join', 'l[::-1] | join', 'l[::2] | join', 'l[5:] | join', 'l[-2:5] | join', 'l[2:0:-1] | join',
    'l[::0]', 's[1:3]', 's[::-1]', 's[:-1]', 'ja[1:3]', 'ja[::-2]', 'ja[-100:2]', 's[none:2]', 'n[1:]', 'no[1:]', 'd[1:]',
    'missing[1:]', 'l["a":]',
    '1 + 2', 'n + f', "s + 'x'", "s + n", "s + no", 's + missing', 'missing + s', '(l + w) | join', 'l + s', '5 - 7', '2 * 3', "'ab' * 3",
    "3 * 'ab'", "'ab' * -1", '7 // 2', '-7 // 2', '7 % 3', '-7 % 3', '7 % -3', '7.5 // 2', '-7.5 % 2', '1 // 0', '1 / 0', '1 % 0',
    '1.0 / 0', 's - s', 's ~ n ~ no ~ t ~ missing ~ f', '1 + 2 * 3', '(1 + 2) * 3', '-n', '+n', '--n', '-s', '-t', '1 - -1', "'a' ~ 1 + 2",
    '2 * 3 ~ 4', '-1 | abs', '1 + -2 | abs', 't + t', 'n * t',
    '1 == 1.0', 't == 1', "'1' == 1", 's == "Hello"', 's != "x"', 'missing == missing', 'missing == none', 'no == none', 'l == [3, 1, 2]',
    'l == (3, 1, 2)', '(1, 2) == (1, 2)', 'd == {"a": 1}', '1 < 2', '2 <= 2', '3 > 4', 's < "World"', "'a' < 'B'", 's < 1', 'none < 1',
    'missing < 1', '1 < 2 < 3', '1 < 2 > 5', '3 > 2 == 2', "'e' in s", "'x' not in s", '1 in l', '9 in l', "'a' in d", "'z' in d", '1 in s',
    "'x' in missing", "'x' in no", "'x' in 5", "'' in s", 'not t', 'not missing', 'not e', 'not not s', 't and s', 'e and s', 'e or s', 's or e',
    'missing or "x"', 'z or no', 't and e or n', 'not t or t', 'not (t and e)', '1 if t else 2', '1 if e else 2', '1 if e', '1 if e else 2 if t else 3',
    '(1 if t else 2) + 1', '1 + 1 if t else 5', "s if s is string else 'no'", 'not s in l', 't is true', '1 is true', 'z is false',
    's is defined', 'missing is defined', 'missing is undefined', 'missing is not defined', 's.x is defined', 'd.a is defined', 'd.zz is defined',
    'no is none', 'no is not none', 'missing is none', 's is string', 'n is string', 'n is number', 't is number', 'f is number', 'n is integer',
    't is integer', 'f is float', 'n is float', 't is boolean', 'n is boolean', 'd is mapping', 'l is mapping', 'l is iterable', 's is iterable',
    'n is iterable', 'missing is iterable', 'no is iterable', 'l is sequence', 's is sequence', 'd is sequence', 'n is sequence', 'n is odd', 'n is even',
    's is odd', 'n is divisibleby 3', 'n is divisibleby(2)', 'n is eq 3', 'n is equalto(4)', 'n is ne 3', 'n is gt 2', 'n is lt 2', '1 is in l',
    'n is in([1])', 's is string and n is number', 's is defined or missing is defined', 'not s is string', 'missing is defined and missing.x',
    's is string is string', 'true is false',
    'pad | trim', "'xxaxx' | trim('x')", 'n | trim', 'no | trim', 'missing | trim', 's | length', 'ja | length', 'l | length', 'd | length', 'n | length',
    'no | length', 'missing | length', 'l | count', 's | upper', 's | lower', 'ja | upper', "'hello big-world' | title", "'hELLO' | capitalize",
    "'hello big-world o\\'neil x(y)' | title", 'missing | default("x")', 's | default("x")', 'e | default("x")', 'e | default("x", true)', 'no | default("x")',
    'no | d("x", true)', 'missing | default', 'missing.x | default("y")', 'l | join', 'l | join(", ")', 'w | join("-") | upper', 's | join(",")',
    'missing | join(",")', 'd | join(",")', 'n | join', '[1, none, missing, "a"] | join("|")', "[{'x': 1}, {'x': 2}] | join(',', attribute='x')",
    'l | first', 'l | last', '[] | first', '[] | last', 's | first', 'ja | last', 'd | first', 'd | last', 'missing | first', 'n | first', 's | list | join("-")',
    'd | list | join', 'd | items | list | length', 'missing | items | list | length', 'l | items | list', 'n | string', 'f | string + "x"', 'no | string',
    "'12' | int", "'12.7' | int", "'x' | int", "'x' | int(5)", "' 7 ' | int", 'f | int', 'no | int', 'missing | int', "'-3' | int + 1", "'2.5' | float", "'x' | float",
    '3 | float', '-5 | abs', 't | abs', 's | abs', "s | replace('l', 'L')", "s | replace('l', 'L', 1)", "s | replace('', '-')", 's | replace("l")', 'n | replace(3, 4)',
    'l | reverse | join', 's | reverse', 's | trim | upper | lower', 's | length > 3', 's|length + 1', '"a,b" | trim | length', 's | unknownfilter',
    "[{'r': 'u', 'v': 1}, {'r': 'a', 'v': 2}, {'v': 3}] | selectattr('r', 'equalto', 'a') | map(attribute='v') | join",
    "[{'r': 'u', 'v': 1}, {'r': 'a', 'v': 2}, {'v': 3}] | selectattr('r') | map(attribute='v') | join(',')",
    "[{'r': 'u', 'v': 1}, {'r': 'a', 'v': 2}, {'v': 3}] | rejectattr('r', 'defined') | list | length",
    "[{'r': 1}, {'r': 2}] | selectattr('r', '>', 1) | list | length", "l | selectattr('x') | length", "l | reverse | length",
    's | tojson', 'q | tojson', 'ja | tojson', 'ja | tojson(ensure_ascii=true)', 'q | tojson(true)', 'n | tojson', 'f | tojson', 't | tojson', 'no | tojson',
    'missing | tojson', 'l | tojson', 'd | tojson', 'nested | tojson', 'nested | tojson(indent=2)', 'l | tojson(indent=0)', '[] | tojson(indent=4)', '{} | tojson',
    '(1, "a") | tojson', '{1: 2, none: 3, true: 4} | tojson', '{"a": [{}, []]} | tojson(indent=1)', '[1.0, 1e20, 0.1] | tojson', 'l | tojson | length', 'range(2) | tojson',
    'pad.strip()', 'pad.lstrip()', 'pad.rstrip()', "'xxaxx'.strip('x')", "'abc'.strip('ca')", "'\u3000a\u3000'.strip()", 's.upper()', 's.lower()', "'it\\'s a x1y'.title()", "s.split('l') | join('|')",
    "'a b  c'.split() | join('|')", "' a b '.split(' ') | join('|')", "'a b c'.split(None, 1) | join('|')", "'a,b,c'.split(',', 1) | last", "''.split() | length",
    "''.split(',') | length", "'a'.split('')", "' a  b '.split(None, 1) | join('|')", "s.split('</think>')[-1]", "s.startswith('He')", "s.startswith('x')", "s.endswith('lo')", "s.startswith(('x', 'He'))",
    's.startswith(1)', "s.replace('l', 'L')", "s.replace('l', 'L', 1)", "s.find('l')", "s.find('z')", "ja.find('語')", "s.count('l')", "', '.join(w)", "','.join(l)", "s.removeprefix('He')",
    "s.removesuffix('lo')", 's.nomethod()', 's.upper', 'd.keys() | list | join', 'd.values() | list | join', 'd.items() | list | first | join', 'l.append(4)', 'd.update({})',
    's.__class__', 's.__class__.__name__', 's.strip().upper()', "(s ~ 'x').upper()", "s.upper()[0]", 'n.strip()', 'missing.strip()',
    'range(3) | join', 'range(1, 4) | join', 'range(5, 0, -2) | join', 'range(0) | list | length', 'range(100001) | length', 'range("a")', 'range(3) | length', 'range(1, 2, 0)',
    "raise_exception('no')", "dict(a=1, b=2) | tojson", "dict(a=1).a", '{"a": 1}.a', "{'a': {'b': 2}}['a'].b", '[[1, 2], [3]] | first | join', '[1, 2,] | join', '{"a": 1,}.a', '(1,) | join',
    '() | length', '[1, 2][0]', "'abc'[1]", '{1: "x"}[1]', '{1: "x"}[1.0]', '{1: "x"}[true]', '{[]: 1}', 'd[l]', 's()', 'none()', '1 +', '* 2', '1 2', 'a b', 's.', 's[', '(1', '[1', '{"a" 1}', 'not',
    's | ', 's is', '1 if', '#', '!', '1 !', 'a & b', '$x', "'abc", 's..x', '007', '1.', '.5', 'x = 1', 's | trim()', 's | trim(chars="H")', 's | trim(bad=1)', 's.strip(chars="H")', 'loop', 'loop.index',
    's == s == s', 'namespace(a=1).a', 'namespace().a', 'namespace(a=1)["a"]', 'ja ~ "\\u3042"', '"\\xe9"', "'a' if missing else 'b'", 'missing ~ missing', '[missing] | length', 'missing in [missing]', 'none in [no]',
]

STATEMENTS = [
    '{% if t %}a{% endif %}', '{% if e %}a{% else %}b{% endif %}', '{% if e %}a{% elif n %}b{% else %}c{% endif %}',
    '{% if e %}a{% elif z %}b{% elif no %}c{% else %}d{% endif %}', '{% if missing %}a{% endif %}', '{% if %}a{% endif %}',
    '{% if t %}a', '{% endif %}', '{% if t %}a{% else %}b{% else %}c{% endif %}', '{% if t %}{% if e %}x{% else %}y{% endif %}{% endif %}',
    '{% if t: %}a{% endif %}', '{% if (1 if e else 0) %}a{% else %}b{% endif %}', '{% if 1 if e else 0 %}a{% endif %}',
    '{% if t and not e and (n > 2 or z) %}a{% endif %}', '{% unknown %}', '{% 5 %}',
    '{% for i in l %}{{ i }},{% endfor %}', '{% for i in [] %}{{ i }}{% else %}none{% endfor %}', '{% for i in l %}{{ i }}{% else %}none{% endfor %}',
    '{% for i in missing %}x{% else %}y{% endfor %}', '{% for i in no %}x{% endfor %}', '{% for i in n %}x{% endfor %}', '{% for c in s %}{{ c }}-{% endfor %}',
    '{% for c in ja %}{{ c }}-{% endfor %}', '{% for k in d %}{{ k }}{% endfor %}', '{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}',
    '{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}', '{% for (k, v) in d.items() %}{{ k }}{% endfor %}', '{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %}',
    '{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}', '{% for a, b in [1] %}{{ a }}{% endfor %}', '{% for a in 1, 2 %}{{ a }}{% endfor %}',
    '{% for i in l if i > 1 %}{{ i }}{% endfor %}', '{% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}',
    '{% for i in l if i > 1 %}{{ loop.index }}{{ loop.last }}{{ loop.length }} {% endfor %}',
    '{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}',
    '{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}', '{% for i in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}',
    '{% for i in l %}{{ loop.previtem.x }}{% endfor %}', '{% for i in l %}{{ loop["index"] }}{{ loop.foo }}{{ loop.depth }}{% endfor %}',
    '{% for i in l %}{% for j in w %}{{ loop.index }}{{ j }}{% endfor %}{{ loop.index }};{% endfor %}', '{% for i in l %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}',
    '{% for i in range(3) %}{{ i }}{% endfor %}', '{% for i in l[1:] %}{{ i }}{% endfor %}', '{% for i in l | reverse %}{{ i }}{% endfor %}',
    '{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}', '{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}',
    '{% for i in l %}{% continue %}{% else %}x{% endfor %}', '{% for i in l %}{% break %}{% else %}x{% endfor %}', '{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{% else %}x{% endfor %}',
    '{% break %}', '{% for i in l %}x', '{% for i in %}x{% endfor %}', '{% for in l %}x{% endfor %}', '{% for i of l %}x{% endfor %}', '{% for true in l %}x{% endfor %}',
    '{% for i in l %}{{ i }}{% endfor %}{{ i }}', '{% for i in l %}{% set x = i %}{% endfor %}{{ x }}', '{% set x = 5 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}',
    '{% set x = 0 %}{% if t %}{% set x = 1 %}{% endif %}{{ x }}', '{% for i in l %}{% if loop.first %}{% set y = "s" %}{% endif %}[{{ y }}]{% endfor %}',
    '{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}', '{% set ns = namespace() %}{% set ns.y = 1 %}{{ ns.y }}{{ ns.z }}',
    '{% set ns = namespace(found=false) %}{% for i in l %}{% if i == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}', '{% set d.x = 1 %}', '{% set missing.x = 1 %}',
    '{% set ns = namespace(n=0) %}{% for i in l if ns.n < 2 %}{{ i }}{% set ns.n = ns.n + 1 %}{% endfor %}', '{% set ns = namespace(n=0) %}{% for i in l if ns.n < 2 %}{{ i }}{{ loop.last }}{% set ns.n = ns.n + 1 %}{% endfor %}',
    '{% set ns = namespace(n=0) %}{% for i in l if ns.n < 2 %}{{ i }}{{ loop.length }}{% set ns.n = ns.n + 1 %}{% endfor %}',
    '{% set a = 1 %}{{ a }}{% set a = "b" %}{{ a }}', '{% set a, b = 1, 2 %}{{ a }}{{ b }}', '{% set a, b = 1 %}', '{% set (a, b) = l[:2] %}{{ a }}{{ b }}', '{% set s = s ~ "!" %}{{ s }}',
    '{% set a %}x{{ s }}{% endset %}{{ a | length }}{{ a }}', '{% set a | upper %}x{{ s }}{% endset %}{{ a }}', '{% set a | upper | replace("H", "h") %}x{{ s }}{% endset %}{{ a }}',
    '{% set a %}{% set b = 1 %}{% endset %}{{ b }}', '{% set a %}\n  x\n{% endset %}\n[{{ a }}]', '{% set %}', '{% set 5 = 1 %}', '{% set a %}x', '{% set a = %}', '{% set a = 1, 2 %}{{ a | join }}',
    '{% set a.b = 1 %}', '{% for m in w %}{% set loop_first = loop.first %}{{ loop_first }}{% endfor %}', '{% set x = missing %}{{ x is defined }}', '{% if s is string and s %}{% set t2 = s | trim %}{% endif %}{{ t2 }}',
    '{% for i in l %}{% for j in l if j != i %}{{ i }}{{ j }} {% endfor %}{% endfor %}', '{% for i in l if loop.index > 1 %}{{ i }}{% endfor %}', '{% for i in l %}{% for j in w if loop.index == 1 %}{{ j }}{% endfor %}{% endfor %}',
    '{% set x = 1 %}{% for x in l %}{{ x }}{% endfor %}{{ x }}', '{% for x in x %}{{ x }}{% endfor %}', '{% set n = n + 1 if t else 0 %}{{ n }}', '{% set true = 1 %}', '{% set a = [1] + [2] %}{% set a = a + [3] %}{{ a | join }}',
    '{% for i in l recursive2 %}{% endfor %}', "{{ raise_exception('bad ' ~ s) }}", "{% if n > 5 %}{{ raise_exception('x') }}{% endif %}ok", '{% set x = [] %}{% set y = x.append(1) %}', '{{ s }}{{ missing.a }}',
    '{% generation2 %}', '{% if a.b.c %}x{% endif %}', '{% if d.q.c %}x{% endif %}', '{% for m in [{"role": "user"}] %}{{ m.content }}{{ m["content"] }}{{ m.content is none }}{{ m.content is defined }}{% endfor %}',
]

M = [{'role': 'system', 'content': ' Be brief. '}, {'role': 'user', 'content': 'こんにちは'}, {'role': 'assistant', 'content': '<think>hm</think>はい。 '},
     {'role': 'user', 'content': "What's 1+1?\n"}]
TOOL = {'type': 'function', 'function': {'name': 'f', 'description': 'Adds <a> & "b"', 'parameters': {'type': 'object', 'properties': {'x': {'type': 'integer'}}}}}
CHAT = {'bos_token': '<s>', 'eos_token': '</s>', 'tools': None, 'documents': None, 'add_generation_prompt': True}

LLM_JP = ("{{bos_token}}{% for message in messages %}{% if message['role'] == 'user' %}{{ '\\n\\n### 指示:\\n' + message['content'] }}{% elif message['role'] == 'system' %}"
          "{{ '以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。' }}{% elif message['role'] == 'assistant' %}{{ '\\n\\n### 応答:\\n' + message['content'] + eos_token }}{% endif %}"
          "{% if loop.last and add_generation_prompt %}{{ '\\n\\n### 応答:\\n' }}{% endif %}{% endfor %}")
CHAT_TEMPLATES = [
    LLM_JP, LLM_JP.replace('{{bos_token}}', ''),
    # [INST] with a system part inside the first turn
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    # headers around trimmed content
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    # many lines, tools, a date
    """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message, if any, comes out of the list. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|system|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|' + message['role'] + '|>\\n\\n' + message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\\n\\n' }}
{%- endif %}
""",
    # chat markup with a default system message
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    # reasoning cut out of earlier answers, the last query found backwards
    """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    # roles renamed
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    # users selected, tools before the last of them
    """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
""",
    # upper-case roles
    "{% for message in messages %}{{ message.role | upper }}: {{ message.content }}{% if not loop.last %}\n{% endif %}{% endfor %}",
]
CONVERSATIONS = [{**CHAT, 'messages': M}, {**CHAT, 'messages': M[1:]}, {**CHAT, 'messages': M[:3], 'add_generation_prompt': False}, {**CHAT, 'messages': M[1:2], 'tools': [TOOL, TOOL]},
                 {**CHAT, 'messages': []}, {**CHAT, 'messages': [M[1], M[1]]}]


SETS = [V] + CONVERSATIONS


def cases():
    for template in TEXT + STATEMENTS:
        yield template, 0
    for expression in EXPRESSIONS:
        yield '{{ ' + expression + ' }}', 0
    for template in CHAT_TEMPLATES:
        for i in range(1, len(SETS)):
            yield template, i


def main():
    env = make_environment()
    path = os.path.join(HERE, 'golden', 'templates.jsonl')
    n_errors = n = 0
    with open(path, 'w', encoding='utf-8') as f:
        f.write(json.dumps({'sets': SETS}, ensure_ascii=False) + '\n')
        for template, i in cases():
            row = {'template': template, 'set': i}
            try:
                row['text'] = env.from_string(template).render(**SETS[i])
            except Exception:
                row['error'] = True
            if '<built-in method' in row.get('text', ''):  # an address
                continue
            n += 1
            n_errors += 'error' in row
            f.write(json.dumps(row, ensure_ascii=False) + '\n')
    print(f'{n} templates, {n_errors} refused')


if __name__ == '__main__':
    main()
