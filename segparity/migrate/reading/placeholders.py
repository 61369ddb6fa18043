"""What MMEngine replaces in the text of a configuration before Python sees it: ``{{ fileBasename }}`` and its like."""

import os
import re

BASE = re.compile(r'\{\{\s*_base_\.([\w.]{1,200})\s*\}\}')
ENVIRONMENT = re.compile(r'\{\{[\'"]?\s*\$(\w{1,100})\s*:\s*([^\s{}]{0,300}?)\s*[\'"]?\}\}')
MARK = re.compile(r'__environment_(\w+?)__environment')
OF_BASE = '__of_base__'


def file_variables(text: str, path: str) -> str:
    """The text with what ``{{ fileDirname }}`` and so on say of the file."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    known = {
        'fileDirname': os.path.dirname(path),
        'fileBasename': name,
        'fileBasenameNoExtension': stem,
        'fileExtname': suffix,
    }
    for word, value in known.items():
        if word in text:
            shown = value.replace('\\', '/')
            text = shown.join(re.split(r'\{\{\s*' + word + r'\s*\}\}', text))
    return text


def marked(text: str) -> str:
    """The text with names in place of environment variables, each of which is not known, in a text or alone."""
    return ENVIRONMENT.sub(r'__environment_\1__environment', text)


def python_of_base(text: str) -> str:
    """``{{_base_.model.type}}`` as Python that looks it up."""
    return BASE.sub(lambda match: '_base_' + ''.join(f'["{part}"]' for part in match[1].split('.')), text)


def json_of_base(text: str) -> str:
    """``{{_base_.model.type}}``, alone or in quotes, as a text that is found again."""
    text = re.sub(r'"\s*(\{\{\s*_base_\.[\w.]{1,200}\s*\}\})\s*"', r'\1', text)
    text = BASE.sub(lambda match: f'"{OF_BASE}{match[1]}"', text)
    return re.sub(r'(?<=[\s:,\[])(__environment_\w+?__environment)(?=[\s,\]}])', r'"\1"', text)
