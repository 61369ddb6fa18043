"""The part of JSON Schema (draft 2020-12) that ``segparity spec`` uses, for tests; an unknown word is an error."""

IGNORED = {'$schema', '$id', '$defs', 'title', 'description', 'default', 'examples', 'x-segparity'}
TYPES = {
    'object': dict, 'array': list, 'string': str, 'null': type(None), 'boolean': bool,
    'number': (int, float), 'integer': (int, float),
}  # fmt: skip


def is_type(value, name):
    if isinstance(value, bool):
        return name == 'boolean'
    return isinstance(value, TYPES[name]) and (name != 'integer' or value == int(value))


def same(a, b):
    return type(a) is type(b) and a == b if isinstance(a, bool) or isinstance(b, bool) else a == b


def valid(value, schema, root=None):
    """Whether JSON-able ``value`` is an instance of ``schema``."""
    root = schema if root is None else root
    number, array, table = is_type(value, 'number'), isinstance(value, list), isinstance(value, dict)
    for word, said in schema.items():
        if word in IGNORED:
            continue
        if word == '$ref':
            name = said.removeprefix('#/$defs/')
            good = valid(value, root['$defs'][name], root)
        elif word == 'type':
            good = is_type(value, said)
        elif word == 'const':
            good = same(value, said)
        elif word == 'enum':
            good = any(same(value, one) for one in said)
        elif word == 'not':
            good = not valid(value, said, root)
        elif word == 'multipleOf':
            good = not number or value % said == 0
        elif word == 'anyOf':
            good = any(valid(value, one, root) for one in said)
        elif word == 'oneOf':
            good = sum(valid(value, one, root) for one in said) == 1
        elif word == 'minimum':
            good = not number or value >= said
        elif word == 'maximum':
            good = not number or value <= said
        elif word == 'exclusiveMinimum':
            good = not number or value > said
        elif word == 'exclusiveMaximum':
            good = not number or value < said
        elif word == 'items':
            good = not array or all(valid(one, said, root) for one in value)
        elif word == 'contains':
            good = not array or any(valid(one, said, root) for one in value)
        elif word == 'minLength':
            good = not isinstance(value, str) or len(value) >= said
        elif word == 'maxItems':
            good = not array or len(value) <= said
        elif word == 'minItems':
            good = not array or len(value) >= said
        elif word == 'uniqueItems':
            good = not array or not said or all(not same(a, b) for k, a in enumerate(value) for b in value[:k])
        elif word == 'properties':
            good = not table or all(valid(one, said[k], root) for k, one in value.items() if k in said)
        elif word == 'required':
            good = not table or set(said) <= set(value)
        elif word == 'additionalProperties':
            good = not table or said or set(value) <= set(schema['properties'])
        else:
            raise AssertionError(f'unknown word of JSON Schema: {word}')
        if not good:
            return False
    return True
