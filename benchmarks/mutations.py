"""Small mistakes that fit into a source file, one piece of text each: for ``python -m benchmarks.mutants``."""

import ast
import dataclasses

COMPARISONS = {
    ast.Lt: ('<', '<='), ast.LtE: ('<=', '<'), ast.Gt: ('>', '>='), ast.GtE: ('>=', '>'), ast.Eq: ('==', '!='),
    ast.NotEq: ('!=', '=='), ast.Is: ('is', 'is not'), ast.IsNot: ('is not', 'is'), ast.In: ('in', 'not in'),
    ast.NotIn: ('not in', 'in'),
}  # fmt: skip
OPERATORS = {
    ast.Add: ('+', '-'), ast.Sub: ('-', '+'), ast.Mult: ('*', '/'), ast.Div: ('/', '*'), ast.FloorDiv: ('//', '*'),
    ast.Mod: ('%', '*'), ast.Pow: ('**', '*'), ast.BitAnd: ('&', '|'), ast.BitOr: ('|', '&'),
}  # fmt: skip
PAIRS = [
    ('min', 'max'), ('amin', 'amax'), ('argmin', 'argmax'), ('any', 'all'), ('zeros', 'ones'), ('isnan', 'isfinite'),
    ('zeros_like', 'ones_like'), ('logical_and', 'logical_or'), ('product_overlap', 'metric_overlap'),
]  # fmt: skip
FUNCTIONS = [('minimum', 'maximum'), ('floor', 'ceil')]  # of a module: some of ours have these names, without the other
NAMES = {old: new for pair in PAIRS for old, new in (pair, pair[::-1])}
ATTRIBUTES = NAMES | {old: new for pair in FUNCTIONS for old, new in (pair, pair[::-1])}
COMMUTATIVE = {'min', 'max', 'minimum', 'maximum', 'logical_and', 'logical_or', 'logaddexp', 'promote_types'}
TEXT = {'title', 'formula', 'source', 'remarks', 'keras_line', 'mmseg_line', 'torch_line', '__all__'}
INPUTS = {'examples'}  # which inputs the checks replay is a choice, and no choice is wrong
INPUTS_OF = {
    'segparity/parity/cases.py': {'logits', 'ids', 'soft_pair', 'simplex', 'N', 'C', 'SPACE', 'IGNORE'},
    'segparity/parity/metrics.py': {'label_maps', 'logits_for', 'IGNORE'},
    'shared_spec/losses/region/generalized_wasserstein_dice.py': {'TREE', 'SLANTED'},
}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """``old``, at the bytes from ``start`` on, becomes ``new``; lines: those of its statement, executed: in a function."""

    path: str
    where: str
    kind: str
    start: int
    old: str
    new: str
    lines: tuple
    line: int
    before: str  # the line, or the lines, of ``old``, without indentation
    executed: bool

    def apply_to(self, source):
        """source (bytes) with the mistake."""
        stop = self.start + len(self.old.encode())
        return source[: self.start] + self.new.encode() + source[stop:]

    @property
    def key(self):
        """What names it as long as its line stays: file, function, the line, which piece becomes what."""
        return f'{self.path} {self.where}: {self.before} [{self.kind}: {one_line(self.old)} -> {one_line(self.new)}]'


def one_line(text):
    return ' '.join(text.split()) or 'nothing'


def mutants(path, source):
    """Every mutant of a file whose text is ``source`` (bytes), in order; a few do not compile."""
    places = Places(path, source)
    places.visit(ast.parse(source))
    found = {}
    for mutant in sorted(places.found, key=lambda m: (m.start, m.new)):
        while mutant.key in found:  # the same piece twice in one line
            mutant = dataclasses.replace(mutant, kind=mutant.kind + ', next')
        found[mutant.key] = mutant
    return list(found.values())


def compiles(source):
    try:
        compile(source, 'mutant', 'exec', dont_inherit=True)
    except SyntaxError:
        return False
    return True


class Places(ast.NodeVisitor):
    """Collects the mutants of one file; passes over docstrings, messages, annotations and inputs of checks."""

    def __init__(self, path, source):
        self.path, self.source, self.found = path, source, []
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.names, self.functions, self.statement = [], 0, None
        self.left_out = INPUTS | TEXT | INPUTS_OF.get(path, set())

    def at(self, node):
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def add(self, kind, start, stop, new):
        old = self.source[start:stop].decode()
        first = self.source.count(b'\n', 0, start)
        last = self.source.count(b'\n', 0, max(stop - 1, start))
        before = one_line(self.source[self.starts[first] : self.starts[last + 1]].decode())
        head = self.statement
        stop_line = head.body[0].lineno - 1 if getattr(head, 'body', None) else head.end_lineno
        lines = tuple(range(head.lineno, max(stop_line, head.lineno) + 1))
        where = '.'.join(self.names) or 'module'
        self.found.append(
            Mutant(self.path, where, kind, start, old, new, lines, first + 1, before, bool(self.functions))
        )

    def between(self, kind, left, right, old, new):
        """``old`` in the text between two nodes."""
        start = self.end(left)
        gap = self.source[start : self.at(right)]
        if (at := gap.find(old.encode())) >= 0:
            self.add(kind, start + at, start + at + len(old), new)

    def replaced(self, kind, node, new):
        self.add(kind, self.at(node), self.end(node), new)

    def text(self, node):
        return self.source[self.at(node) : self.end(node)].decode()

    def visit(self, node):
        if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        outer = self.statement
        if isinstance(node, ast.stmt):
            self.statement = node
        getattr(self, f'at_{type(node).__name__}', lambda node: None)(node)
        for name, child in ast.iter_fields(node):
            if name in ('annotation', 'returns', 'decorator_list', 'type_comment'):
                continue
            if name == 'exc' or (name == 'msg' and isinstance(node, ast.Assert)):
                continue
            for one in child if isinstance(child, list) else [child]:
                if isinstance(one, ast.AST) and not self.is_left_out(one):
                    self.visit_inside(node, one)
        self.statement = outer

    def visit_inside(self, node, child):
        scope = isinstance(node, ast.FunctionDef | ast.ClassDef)
        body = scope and isinstance(child, ast.stmt)
        inside = (body and isinstance(node, ast.FunctionDef)) or (
            isinstance(node, ast.Lambda) and not isinstance(child, ast.arguments)
        )
        self.names += [node.name] if scope else []
        self.functions += inside
        self.visit(child)
        self.functions -= inside
        del self.names[len(self.names) - scope :]

    def is_left_out(self, node):
        """A docstring, a text, or what describes an input of the checks."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return True
        if isinstance(node, ast.FunctionDef):
            return node.name in self.left_out or any(getattr(d, 'id', '') == 'case' for d in node.decorator_list)
        targets = getattr(node, 'targets', [getattr(node, 'target', None)])
        flat = [name for target in targets for name in getattr(target, 'elts', [target])]
        return any(getattr(target, 'id', None) in self.left_out for target in flat)

    def at_Compare(self, node):
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            self.between('comparison', left, right, *COMPARISONS[type(op)])

    def at_BoolOp(self, node):
        old, new = ('and', 'or') if isinstance(node.op, ast.And) else ('or', 'and')
        for left, right in zip(node.values, node.values[1:]):
            self.between('and, or', left, right, f' {old} '.strip(), new)

    def at_BinOp(self, node):
        texts = [n for n in ast.walk(node) if isinstance(n, ast.JoinedStr) or isinstance(getattr(n, 'value', 0), str)]
        if type(node.op) in OPERATORS and not texts:
            self.between('arithmetic', node.left, node.right, *OPERATORS[type(node.op)])

    def at_AugAssign(self, node):
        if type(node.op) in OPERATORS:
            self.between('arithmetic', node.target, node.value, *OPERATORS[type(node.op)])
        self.replaced('statement', node, 'pass')

    def at_UnaryOp(self, node):
        self.replaced('sign' if isinstance(node.op, ast.USub) else 'not', node, f'({self.text(node.operand)})')

    def at_Constant(self, node):
        value = node.value
        if isinstance(value, bool):
            self.replaced('constant', node, str(not value))
        elif isinstance(value, int | float):
            for new in (0, 2) if value == 1 else (value + 1 if abs(value) < 1e15 else 2 * value,):
                self.replaced('constant', node, str(type(value)(new)))

    def at_Call(self, node):
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in ('keras_name', 'stacklevel'):
                start, stop = self.at(keyword), self.end(keyword)
                if self.source[stop : stop + 1] == b',':
                    stop += 1
                self.add('argument', start, stop, '')
        name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        if name in COMMUTATIVE:
            return
        args = node.args[1:] if name == 'where' else node.args
        if len(args) < 2 or any(isinstance(a, ast.Starred) for a in args) or isinstance(args[1], ast.Constant):
            return
        first, second = self.text(args[0]), self.text(args[1])
        if first != second:
            between = self.source[self.end(args[0]) : self.at(args[1])].decode()
            self.add('order', self.at(args[0]), self.end(args[1]), f'{second}{between}{first}')

    def at_Name(self, node):
        if node.id in NAMES and isinstance(node.ctx, ast.Load):
            self.replaced('name', node, NAMES[node.id])

    def at_Attribute(self, node):
        if node.attr in ATTRIBUTES:
            stop = self.end(node)
            self.add('name', stop - len(node.attr.encode()), stop, ATTRIBUTES[node.attr])

    def condition(self, test):
        for new in ('True', 'False'):
            if self.text(test) != new:
                self.replaced('condition', test, new)

    def at_If(self, node):
        self.condition(node.test)

    def at_IfExp(self, node):
        self.condition(node.test)

    def at_comprehension(self, node):
        for test in node.ifs:
            self.replaced('condition', test, 'True')

    def at_Expr(self, node):
        self.replaced('statement', node, 'pass')

    def at_Raise(self, node):
        self.replaced('statement', node, 'pass')

    def at_Continue(self, node):
        self.replaced('statement', node, 'pass')

    def at_Assign(self, node):
        if isinstance(node.targets[0], ast.Attribute | ast.Subscript):
            self.replaced('statement', node, 'pass')

    def at_Return(self, node):
        value = node.value
        if isinstance(value, ast.Tuple) and len(value.elts) > 1:
            texts = [self.text(e) for e in value.elts]
            self.replaced('result', value, ', '.join([texts[1], texts[0], *texts[2:]]))
        elif isinstance(value, ast.Compare | ast.BoolOp):
            self.replaced('result', value, f'not ({self.text(value)})')
