"""Where a C or C++ source can be changed a little so that it is wrong: the sites of scripts/mutants.py, by rule. Reads
text only; what is done with a site is its caller's business. Comments, strings, preprocessor lines and everything
outside of function bodies (tables of parameters, layouts, types) are left alone."""
import collections
import random
import re

TOKEN = re.compile(r'''
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|\#(?:[^\n\\]|\\.)*)
  | (?P<text>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.'])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign><<=|>>=|<=>|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|::|.)
''', re.VERBOSE | re.DOTALL)
# A type and a name behind it: a declaration. Pointers stick to their type, so `a * b` is none.
DECLARATION = re.compile(r'(?:const |static |constexpr |inline |unsigned |struct |extern )*'
                         r'[A-Za-z_][\w:]*(?:<[^()]*>)?[*&]*(?: const)? [*&]*[A-Za-z_]\w*')
COMPARISONS = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '=='}
EXTREMES = {'min': 'max', 'max': 'min', 'min_element': 'max_element', 'max_element': 'min_element', 'fmin': 'fmax',
            'fmax': 'fmin'}
ASSIGNMENTS = {'=', '+=', '-=', '*=', '/=', '|=', '&=', '^=', '<<=', '>>=', '++', '--'}
HEADS = {'if', 'for', 'while', 'switch'}
NO_CALLS = HEADS | {'return', 'sizeof', 'alignof', 'catch', 'decltype'}
OPEN, CLOSE = {'(': ')', '[': ']', '{': '}'}, {')', ']', '}'}

Token = collections.namedtuple('Token', 'kind text start end')
# text[start:end] becomes `new`. before, after: the code around it in one line, for people; with `file` they say which
# site it is, also when lines move.
Site = collections.namedtuple('Site', 'file rule line start end new before after')


def tokens_of(text):
    return [Token(match.lastgroup, match.group(), match.start(), match.end())
            for match in TOKEN.finditer(text) if match.lastgroup != 'skip']


def partners(tokens):
    """For every bracket, the index of the other one."""
    found, stack = {}, []
    for i, token in enumerate(tokens):
        if token.kind == 'sign' and token.text in OPEN:
            stack.append(i)
        elif token.kind == 'sign' and token.text in CLOSE and stack:
            found[i] = stack.pop()
            found[found[i]] = i
    return found


class Source:
    """One file, its tokens, and which of them stand in function bodies."""

    def __init__(self, file, text):
        self.file, self.text, self.tokens = file, text, tokens_of(text)
        self.other = partners(self.tokens)
        self.sites, self.taken = [], set()
        self.statements, self.functions = [], []  # (first, end) token indices; (index of the body's brace, head)
        self.inside = self.find_bodies()

    def find_bodies(self):
        inside, stack, start = [], [], 0
        for i, token in enumerate(self.tokens):
            if token.kind != 'sign':
                pass
            elif token.text in OPEN:
                body = False
                if token.text == '{':
                    before = self.tokens[i - 1].text if i else ''
                    in_body = bool(stack) and stack[-1]
                    body = before in {')', ']', 'const', 'noexcept', 'else', 'do', 'try'} or (
                        in_body and before in {';', '{', '}'})
                    if body and not in_body:
                        self.functions.append((i, self.plain(start, i)))
                    start = i + 1
                stack.append(body if token.text == '{' else None)
            elif token.text in CLOSE and stack:
                stack.pop()
                if token.text == '}':
                    start = i + 1
            elif token.text == ';':
                if stack and stack[-1]:
                    self.statements.append((self.after_heads(start, i), i))
                if not stack or stack[-1] is not None:
                    start = i + 1
            braces = [kind for kind in stack if kind is not None]
            inside.append(True in braces and braces[-1])
        return inside

    def after_heads(self, first, end):
        """Where the statement behind `if (...)`, `else` and the like begins."""
        while first < end:
            word = self.tokens[first].text
            if word in {'else', 'do'}:
                first += 1
            elif word in HEADS and first + 1 in self.other:
                first = self.other[first + 1] + 1
            else:
                break
        return first

    def plain(self, first, end):
        """Source of tokens first .. end - 1 in one line, without comments."""
        text, at = '', None
        for token in self.tokens[first:end]:
            text += (' ' if at is not None and token.start > at else '') + token.text
            at = token.end
        return text

    def add(self, rule, start, end, new, around=None):
        if (start, end, new) in self.taken:
            return
        self.taken.add((start, end, new))
        if around is None:  # the lines it is on
            around = self.text.rfind('\n', 0, start) + 1, (self.text.find('\n', end) + 1 or len(self.text) + 1) - 1
        before = self.text[around[0]:around[1]]
        after = self.text[around[0]:start] + new + self.text[end:around[1]]
        before, after = (' '.join(part.split()) for part in (before, after))
        self.sites.append(Site(self.file, rule, self.text.count('\n', 0, start) + 1, start, end, new, before, after))

    def spaced(self, i):
        """An operator between two operands, as clang-format sets it; not `<` of a template or the sign of a number."""
        token = self.tokens[i]
        return self.text[token.start - 1:token.start].isspace() and self.text[token.end:token.end + 1].isspace()


def find_comparisons(source):
    for i, token in enumerate(source.tokens):
        if not source.inside[i] or token.kind != 'sign' or not source.spaced(i):
            continue
        if token.text in COMPARISONS:
            source.add('comparison', token.start, token.end, COMPARISONS[token.text])
        elif token.text in {'&&', '||'}:
            source.add('comparison', token.start, token.end, '||' if token.text == '&&' else '&&')


def find_off_by_one(source):
    tokens = source.tokens
    for i, token in enumerate(tokens[:-2]):
        if not source.inside[i]:
            continue
        if token.text in {'+', '-'} and source.spaced(i) and tokens[i + 1].text in {'1', '1u'}:
            source.add('off by one', tokens[i - 1].end, tokens[i + 1].end, '')
        if token.text == '[' and i and tokens[i - 1].kind == 'word' and tokens[i + 1].kind == 'word' and (
                tokens[i + 2].text == ']'):
            source.add('off by one', tokens[i + 1].end, tokens[i + 1].end, ' + 1')


def find_short_loops(source):
    for i, token in enumerate(source.tokens[:-1]):
        if token.text != 'for' or not source.inside[i] or i + 1 not in source.other:
            continue
        part = 0
        for k in range(i + 2, source.other[i + 1]):
            here = source.tokens[k]
            part += here.text == ';'
            if part == 0 and here.text == '0' and source.tokens[k - 1].text == '=':
                source.add('short loop', here.start, here.end, '1')
            if part == 1 and here.text in {'<', '<='} and source.spaced(k):
                source.add('short loop', source.tokens[k - 1].end, source.tokens[k - 1].end, ' + 1')
            if part == 1 and here.text == '--' and source.tokens[k + 1].text == '>':
                source.add('short loop', source.tokens[k + 2].start, source.tokens[k + 2].end, '1')


def find_stale(source):
    """Statements that store something or call for an effect, left out."""
    for first, end in source.statements:
        if first >= end or source.tokens[first].kind != 'word':
            if not (first < end and source.tokens[first].text == '*'):
                continue
        text = source.plain(first, end)
        words = {'return', 'break', 'continue', 'throw', 'using', 'static_assert', 'goto', 'case', 'default'}
        if source.tokens[first].text in words or DECLARATION.match(text):
            continue
        tokens = source.tokens[first:end]
        if any(token.text in ASSIGNMENTS for token in tokens) or re.match(r'[\w.:]+(->\w+)*\(', text):
            source.add('stale state', tokens[0].start, tokens[-1].end, '(void)0', (tokens[0].start, tokens[-1].end + 1))


def arguments(source, opening):
    """(start, end) of the arguments between the brackets."""
    start, i, end = opening + 1, opening + 1, source.other[opening]
    found = []
    while i < end:
        if i in source.other and source.other[i] > i:
            i = source.other[i]
        elif source.tokens[i].text == ',':
            found.append((start, i))
            start = i + 1
        i += 1
    return found + [(start, end)] if start < end else found


def find_swaps(source):
    tokens = source.tokens
    for i, token in enumerate(tokens):
        if not source.inside[i]:
            continue
        if token.text in {'+', '-'} and source.spaced(i):
            source.add('swap', token.start, token.end, '-' if token.text == '+' else '+')
        elif token.text in {'+=', '-='}:
            source.add('swap', token.start, token.end, '-=' if token.text == '+=' else '+=')
        elif token.text == '-' and tokens[i - 1].text in ASSIGNMENTS | {'(', ',', 'return'} and (
                tokens[i + 1].kind == 'word'):
            source.add('swap', token.start, token.end, '')
        if token.text != '(' or tokens[i - 1].kind != 'word' or tokens[i - 1].text in NO_CALLS or i not in source.other:
            continue
        list_of = [(tokens[a].start, tokens[b - 1].end) for a, b in arguments(source, i)]
        texts = [source.text[a:b] for a, b in list_of]
        # Texts are for people: where they stand decides nothing.
        plain = [all(token.kind != 'text' for token in tokens[a:b]) for a, b in arguments(source, i)]
        if any(DECLARATION.fullmatch(text) or '{' in text for text in texts):
            continue
        for k in range(len(texts) - 1):
            if plain[k] and plain[k + 1] and texts[k] != texts[k + 1] and max(len(texts[k]), len(texts[k + 1])) <= 60:
                between = source.text[list_of[k][1]:list_of[k + 1][0]]
                source.add('swap', list_of[k][0], list_of[k + 1][1], texts[k + 1] + between + texts[k])


def other_number(text):
    """The number next to it, or None for what is not worth a try."""
    match = re.fullmatch(r'(0x[0-9A-Fa-f]+|\d+)([uU]?[lL]{0,2})', text)
    if match:
        value = int(match.group(1), 0)
        return (hex(value ^ 1) if text.startswith('0x') else str(value + 1)) + match.group(2)
    match = re.fullmatch(r'(\d+\.\d*(?:e-?\d+)?|\d+e-?\d+)(f?)', text)
    return f'{float(match.group(1)) * 2 or 1.0!r}{match.group(2)}' if match else None


def find_constants(source):
    for i, token in enumerate(source.tokens):
        constexpr = not source.inside[i] and token.kind == 'number' and source.tokens[i - 1].text == '=' and (
            'constexpr' in source.text[source.text.rfind('\n', 0, token.start):token.start])
        if token.kind != 'number' or not (source.inside[i] or constexpr):
            continue
        new = other_number(token.text)
        # +- 1 and the starts of loops have rules of their own.
        if new and not (source.tokens[i - 1].text in {'+', '-'} and token.text == '1'):
            source.add('constant', token.start, token.end, new)


def find_extremes(source):
    for i, token in enumerate(source.tokens):
        if source.inside[i] and token.kind == 'word' and token.text in EXTREMES:
            source.add('min/max', token.start, token.end, EXTREMES[token.text])
        if source.inside[i] and token.text == '?' and source.spaced(i):
            source.add('min/max', token.start, token.start, '== 0 ')


def find_returns(source):
    tokens = source.tokens
    for i, head in source.functions:
        match = re.match(r'(?:static |inline |constexpr )*(void|sluice_status) [\w:]+\(', head)
        if match:
            value = ' return;' if match.group(1) == 'void' else ' return SLUICE_OK;'
            source.add('early return', tokens[i].end, tokens[i].end, value)
    for i, token in enumerate(tokens[:-1]):
        if not source.inside[i]:
            continue
        if token.text in {'break', 'continue'}:
            source.add('early return', token.start, token.end, 'continue' if token.text == 'break' else 'break')
        if token.text == 'if' and i + 1 in source.other:
            after = source.other[i + 1] + 1
            if tokens[after].text == '{':
                after += 1
            if tokens[after].text in {'return', 'continue', 'break', 'throw'}:
                source.add('early return', tokens[i + 1].end, tokens[i + 1].end, '0 && ')


# The order matters where two rules find the same change: it counts for the first.
RULES = [find_comparisons, find_off_by_one, find_short_loops, find_stale, find_extremes, find_returns, find_swaps,
         find_constants]
NAMES = ['comparison', 'off by one', 'short loop', 'stale state', 'min/max', 'early return', 'swap', 'constant']


def sites_of(file, text):
    source = Source(file, text)
    for rule in RULES:
        rule(source)
    return sorted(source.sites, key=lambda site: (site.start, site.end, site.new))


def in_order(sites, seed):
    """All sites in the order in which they are tried: every file and rule takes its turn, and the seed says which site
    of theirs comes first."""
    groups = collections.defaultdict(list)
    for site in sites:
        groups[site.file, site.rule].append(site)
    order = []
    for (file, rule), group in sorted(groups.items()):
        random.Random(f'{seed} {file} {rule}').shuffle(group)
        turns = random.Random(f'{seed} {file} {rule} turn')
        order += [(turn, turns.random(), site) for turn, site in enumerate(group)]
    return [site for _, _, site in sorted(order, key=lambda entry: entry[:2])]


def mutated(text, site):
    return text[:site.start] + site.new + text[site.end:]
