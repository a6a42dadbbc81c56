"""Messages that are put into a straight template directly are what Jinja and YAML make of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prompt.support import HOSTILE, texts
from troupe.prompt import ChatMessage, LimitExceeded, Limits, Template, TemplateError

BODIES = [
    """
- name: a
  role: {{ m.role }}
  content: {{ m.text }}
""",
    """
- name: a
  content: >
    role: {{ m.role }}
    {{ m.name }}:  {{ m['text'] }} .
""",
    """
- name: {{ m.name }}x
  role: '{{ m.role }}'
  truncation_priority: 3
  content: |
    {{ escape_special_characters(m.name) }}{{ m.name }}
    {{ m.id }}  {{ m.text }}<|space|>
""",
    """
- name: a
  role: char
  sections:
    - name: speaker
      content: "{{ m.name }}\\n"
    - name: mark
      tokens: ['<eos>', 7]
    - name: text
      content: " {{ m.text }} "
- name: b
  content: 'it''s {{ m.role }}'
  expected_template_data_keys: [m]
""",
    """
- name: a
  content: "{{ '\\n' }}{{ m.text }}{{ ' - x: ' }}{{ m.name }}{{ '\\ue0000\\ue001'[:0] }}{{ '\\n' }}"
""",
    """
- name: a
  content: "{{ '\\n' }}{{ m.text }}{{ ' - x: ' }}{{ m.name }}{{ '\\n' }}"
""",
    """
- name: a
  content: "{{ m.text }}{{ '\\ue0000\\ue001' }}"
""",
    "\n- name: no field\n  content: ''\n",
    "\n- name: a\n  role: {{ m.name }}\n  content: x\n",
    "\n- name: a\n  content: [{{ m.text }}\n",
    "\n- name: a\n  truncation_priority: {{ m.id }}\n  content: {{ m.text }}\n",
    "\n- name: a\n  content: {{ m.none }}\n",
]
roles = st.sampled_from(["user", "char", "assistant", "system", "x", ""])


def made(body: str, message: ChatMessage, limits: Limits | None = None) -> object:
    loop = "- name: first\n  content: c\n{% for m in history %}" + body + "{% endfor %}"
    template = Template.parse(loop, "t", limits)
    try:
        return template.message(message)
    except TemplateError as error:
        return type(error), error.why, error.part


@pytest.mark.parametrize("body", BODIES)
@given(role=roles, name=texts, text=texts, number=st.sampled_from(["7", "x", HOSTILE[8]]))
def test_it_is_what_the_whole_way_gives(body, role, name, text, number):
    message = ChatMessage(number, role, name, text)
    whole = made("{% if true %}" + body + "{% endif %}", message)
    assert made(body, message) == whole


@pytest.mark.parametrize("chars", [10, 200, 1000, 5000])
def test_its_limits_hold(chars):
    message, limits = ChatMessage("1", "user", "Ada", "x" * 800), Limits(chars=chars)
    found = made(BODIES[0], message, limits)
    assert found == made("{% if true %}" + BODIES[0] + "{% endif %}", message, limits)
    # What a value takes is counted where it is put out, and where it is put in.
    assert (chars < 1600) == (isinstance(found, tuple) and found[0] is LimitExceeded)
