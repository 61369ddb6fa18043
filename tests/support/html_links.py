"""What a page would fetch, and which of its tags stay open."""

from html.parser import HTMLParser


class Links(HTMLParser):
    """Collects what a browser would fetch, and tags left open."""

    def __init__(self):
        super().__init__()
        self.fetched, self.open = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ('meta', 'img', 'path', 'use', 'br', 'link', 'rect'):
            self.open.append(tag)
        for name, value in attrs:
            if name in ('src', 'href', 'xlink:href', 'srcset', 'data') and not value.startswith(('data:', '#')):
                self.fetched.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass
