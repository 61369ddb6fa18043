"""The shell of a page: one HTML file with everything in it, which may fetch nothing and run no script but its own."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

ROOM = 'segparity.pages'


def page_html(package: str, name: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """The HTML of a page whose own parts lie in ``package``.

    ``name``.html.j2 extends shell.html.j2, ``name``.css goes on from style.css, ``name``.js is its script where there
    is one. ``values`` and ``filters`` are the template's; every value is escaped unless it is Markup.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package, '.'), jinja2.PackageLoader(ROOM, '.')]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    style = text_of(ROOM, 'style.css') + text_of(package, f'{name}.css')
    script = text_of(package, f'{name}.js')
    return environment.get_template(f'{name}.html.j2').render(
        values, style=Markup(style), script=Markup(script), script_hash=content_hash(script)
    )


def text_of(package: str, name: str) -> str:
    """The text of a file of a package, '' where it has none of that name."""
    file = files(package) / name
    return file.read_text(encoding='utf-8') if file.is_file() else ''


def content_hash(script: str) -> str:
    """The SHA-256 by which a Content-Security-Policy knows a script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def encoded(text: str) -> bytes:
    """In UTF-8; a name that is none is shown by its bytes."""
    return text.encode('utf-8', 'backslashreplace')
