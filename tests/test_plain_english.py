"""The language of code and pages, as far as a program can see it; CONTRIBUTING.md has the rule."""

import ast
import csv
import importlib.util
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted(path for folder in ("src/vitripick", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py"))
# A docstring begins with one of these, or with its third person for a class. Another verb is one more word here.
_VERBS = """
accept adapt add adopt aim allow answer append apply ask average bar begin belong bind blur bring build calibrate call
cancel change check choose clear click close collect colour combine compare complete compute connect continue
convert copy count cover cut decide decode delete describe detect discard do download downscale drag draw drop
empty end enlarge estimate evaluate explain export extend extract fail fetch fill filter find finish fit follow
forget format freeze get give go group guess hand handle hide hold import join judge jump keep know label lay
leave let limit link list load lock log look make map mark match measure merge mirror move name normalise note
offer open order pad paint pair parse pick place plot point prepare press print project pull put quantise quit
raise reach read recognise record reduce refuse register reject release remember remove rename repeat replace
report reserve resize restore return round run save say scale scan see select send serve set shift shorten show
silence simulate sit sort split stand start step stop store stretch subtract sum survey swap take tell test
throw trace track train translate try turn type undo update use validate wait walk warn watch weigh work wrap
write yield
"""
VERBS = set(_VERBS.split())
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
    r"\btells? (?:of|them by|us of)\b": "say, show",
    r"\b(?:say|says|said|know|knows|known) of\b": "about",
    r"\bspeaks? of\b": "cover, mention",
    r"(?<!here )\b(?:is|was) no (?!longer\b|more\b|one\b|such\b|less\b|other\b)\w": "is not a",
    r"(?<!here )\b(?:are|were) no (?!longer\b|more\b|such\b|less\b|other\b)\w": "are not",
    r"\b(?:lines?|rows?|seconds|ms|steps|crops) an? (?:micrograph|particle|run|step|class)\b(?! has)": "per",
    r"\b(?:light and dark|y) (?:are |is )?turned round\b": "flipped, inverted",
    r"\b[Tt]urn(?:s|ing)? (?:light and dark|y) round\b": "flip, invert",
    r"\b(?:any|every)body\b": "anyone, the user",
    r"\b(?:at|in) hand\b": "available, current",
    r"\bfor ever\b": "without end",
    r"\bbroke off\b": "was interrupted",
    r"\b(?:takes?|brings?) torch along\b": "imports, installs torch",
    r"\bsave for\b": "except",
    r"\bone over the other\b": "one overwrites the other",
    r"\bwithout a word\b": "without a message",
    r"\b(?:clean|empty|other) ground\b": "background",
    r"\bthis very\b|\bthe very\b": "this, the same",
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
        text = token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)) and " " in token.string
        if text or token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def comments_of_page(path):
    """Yield line and text of what a file of the page says: the whole line, since its comments have many forms."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if re.search(r"//|/\*|^\s*\*|<!--", line):
            yield number, line


def test_no_word_of_a_private_english_stands_in_the_code():
    others = [
        path for folder in ("tests", "examples", "integrations") for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    texts = [(path, *at) for path in [*CODE, *others] if path != Path(__file__) for at in prose_of_code(path)]
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


PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    + [path for folder in ("docs", "examples", "benchmarks") for path in (ROOT / folder).rglob("*.md")]
)
LONGEST_LINE = 100
MOST_WORDS, MOST_WORDS_OF_README = 1500, 400
# Lists to look something up in, which no one reads from top to bottom.
LISTS = {"CHANGELOG.md", "docs/options.md"}


def prose(page):
    """Return a page without code, tables, and where its links lead."""
    text = re.sub(r"^(```|~~~).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("    ") and not line.lstrip().startswith("|")]
    return re.sub(r"\]\([^)]*\)", "]", "\n".join(lines))


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def test_no_word_of_a_private_english_stands_in_the_pages():
    lines = [(page, at, line) for page in PAGES for at, line in enumerate(page.read_text().splitlines(), start=1)]
    assert wrong_words(lines) == []


def test_no_line_of_a_page_is_too_long_to_read_as_text():
    """A row of a table and a line of code cannot be wrapped."""
    too_long = {
        name_of(page)
        for page in PAGES
        for line in prose(page).splitlines()
        if len(line) > LONGEST_LINE and " " in line.strip()
    }
    assert too_long == set()


def test_every_page_is_short_enough_to_read():
    n_words = {name_of(page): len(prose(page).split()) for page in PAGES}
    assert {name for name, n in n_words.items() if n > MOST_WORDS} - LISTS == set()
    assert n_words["README.md"] <= MOST_WORDS_OF_README


def test_every_figure_of_the_plot_stands_in_the_page_that_it_names():
    with (ROOT / "docs/benchmarks/results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {row["page"]: (ROOT / "docs/benchmarks" / row["page"]).read_text(encoding="utf-8") for row in rows}
    assert [row for row in rows for key in ("f1", "low", "high") if row[key] not in texts[row["page"]]] == []


def test_every_figure_of_the_plot_has_an_interval_or_says_why_not():
    spec = importlib.util.spec_from_file_location("draw_results", ROOT / "tools/draw_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row for row in rows if bool(row["low"]) == bool(row["no_interval"])] == []
    assert module.PAGE.read_text(encoding="utf-8").endswith(module.table(rows)), "run: python tools/draw_results.py"


def test_the_results_fit_on_one_screen():
    page = ROOT / "docs/benchmarks.md"
    assert len(page.read_text(encoding="utf-8").split()) <= 450


WORDS_PAGE = ROOT / "docs" / "words.md"


def listed_words():
    """Return each word of the word list with its sentence."""
    text = re.sub(r"\n  ", " ", WORDS_PAGE.read_text(encoding="utf-8"))
    return re.findall(r"^- \*\*(.+?)\*\*: (.+)$", text, re.MULTILINE)


def test_each_word_of_the_word_list_has_one_short_sentence_and_stands_once():
    words = [word for word, _ in listed_words()]
    assert len(words) > 40
    assert len(set(words)) == len(words)
    wrong = [word for word, said in listed_words() if not said.endswith(".") or ". " in said or len(said.split()) > 25]
    assert wrong == []


def test_each_word_of_the_word_list_is_used_by_a_page():
    others = " ".join(
        page.read_text(encoding="utf-8") for page in PAGES if page not in (WORDS_PAGE, ROOT / "CHANGELOG.md")
    )
    used = " ".join(others.split()).lower()
    assert [word for word, _ in listed_words() if word.lower() not in used] == []


def test_the_start_pages_lead_to_the_word_list():
    assert "(words.md)" in (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert "(docs/words.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
