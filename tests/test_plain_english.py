"""The language of code and pages, as far as a program can see it; CONTRIBUTING.md has the rule."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted(path for folder in ("src/vitripick", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py"))
# A docstring begins with one of these, or with its third person for a class. Another verb is one more word here.
VERBS = set(
    """
    add adopt aim allow answer append apply ask average bar begin belong bind blur bring build calibrate call cancel
    change check choose clear click close collect colour combine compare compute connect continue convert copy count
    cover cut decide decode delete describe detect discard do download downscale draw drop empty end enlarge estimate
    evaluate explain export extract extend fail fetch fill filter find finish fit follow forget format freeze get give
    go group guess hand handle hide hold import join judge jump keep know label lay leave let limit link list load lock
    log look make map mark match measure merge mirror move name normalise note offer open order pad paint pair parse
    pick place plot point prepare press print project pull put quantise quit raise reach read recognise record reduce
    refuse register reject release remember remove rename repeat replace report reserve resize restore return round run
    save say scale scan see select send serve set show shift shorten silence simulate sit sort split stand start step
    stop store stretch subtract sum survey swap take tell test throw trace track train translate try turn undo update
    use validate wait walk warn watch weigh work wrap write yield
    """.split()
)
# Words of a private English, or of an old-fashioned one, and what to write instead.
WORDS = {
    r"\bnobody\b": "no one, or: it is not known",
    r"\banew\b": "again",
    r"\bof before\b": "earlier",
    r"\bfor want of\b": "because ... is missing",
    r"\bof which\b": "two sentences",
    r"\bso many\b": "that many, or the number",
    r"\bsomebody\b": "a person, the user",
    r"\btold\b(?! apart)": "given, named, reported",
    r"\b[Tt]ells?\b(?! \w+(?: \w+)? apart)(?! apart)": "say, show",
}


def docstrings(path):
    """Return line, whether it belongs to a class, and text of each docstring below the module's."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            text = ast.get_docstring(node)
            if text:
                yield node.lineno, isinstance(node, ast.ClassDef), text


def third_person(verb):
    """Return the form of a verb after "it"."""
    if verb.endswith(("s", "sh", "ch", "x", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeou" else verb + "s"


def begins_with_a_verb(text, *, of_a_class):
    word = re.sub(r"[^A-Za-z-]", "", text.split()[0]).lower()
    return word in VERBS or (of_a_class and word in {"is", *map(third_person, VERBS)})


@pytest.mark.parametrize(
    ("text", "right"), [("Return the number.", True), ("Of one micrograph.", False), ("Those of its affinity.", False)]
)
def test_the_check_knows_a_verb_from_a_preposition(text, right):
    assert begins_with_a_verb(text, of_a_class=False) == right


def test_every_docstring_begins_with_a_verb():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in CODE
        for line, of_a_class, text in docstrings(path)
        if not begins_with_a_verb(text, of_a_class=of_a_class)
    ]
    assert wrong == []


def prose_of_code(path):
    """Yield line and text of each comment, and of each string that has a space: messages, docstrings, help texts."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and " " in token.string):
            yield token.start[0], token.string
        elif token.type == getattr(tokenize, "FSTRING_MIDDLE", -1):
            yield token.start[0], token.string


def comments_of_page(path):
    """Yield line and text of what a file of the page says: the whole line, since its comments have many forms."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if re.search(r"//|/\*|^\s*\*|<!--", line):
            yield number, line


def test_no_word_of_a_private_english_stands_in_the_code():
    texts = [(path, *at) for path in CODE for at in prose_of_code(path)]
    texts += [
        (path, *at) for path in (ROOT / "src/vitripick/web/static").rglob("*.js") for at in comments_of_page(path)
    ]
    assert wrong_words(texts) == []


def wrong_words(texts):
    """Return where a word of `WORDS` stands, and what to write."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {found[0]!r}; write: {better}"
        for path, line, text in texts
        for word, better in WORDS.items()
        if (found := re.search(word, text))
    ]
