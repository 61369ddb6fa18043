"""What the HTML pages share: the shell with its style, axes in the page's ink, SVG, and values as HTML writes them."""
