"""The documentation is true: its commands run, its files load, its links lead somewhere."""

import ast
import importlib
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from engine import actions, decisions
from engine.errors import Refused
from engine.events import Position
from monitoring import metrics
from rules import campaigns
from streams.cli import main
from streams.http.app import PATHS
from streams.live.operator import Control
from streams.observing import kpi_file
from streams.products import door, record
from streams.reference.pages import pages as generated
from streams.settings import SETTINGS, ChannelSetting, Deployment
from streams.sources import feedback, segment
from tests.support import documents
from tests.support.documents import DOCS, ROOT, Block

PAGES = documents.pages()
BLOCKS = [block for page in PAGES for block in documents.blocks(page)]
# Nothing listens here: what a page runs must need neither.
NOWHERE = {"REKINDLE_KAFKA": "127.0.0.1:1", "REKINDLE_REDIS": "redis://127.0.0.1:1/0"}
NEEDS_BROKER = "needs-broker"
# Run by tests/integration/test_demo.py on what the demo left.
NEEDS_DEMO = "needs-demo"
FAILS = "fails"
KPIS = "kpis"
RECEIVED = 1_764_000_000_000


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def named(values: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", values, ids=str)


# --- generated pages ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(generated(DOCS)), ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == generated(DOCS)[path], "run: python -m streams.reference"


# --- commands -----------------------------------------------------------------------------------


def test_every_shell_block_runs_or_says_that_it_needs_a_broker() -> None:
    known = {NEEDS_BROKER, NEEDS_DEMO, FAILS}
    wrong = [str(block) for block in of("sh") if block.marks - known]
    assert not wrong
    assert not of("bash", "shell", "console"), "write sh"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a reader follows one page, with the examples beside her."""
    shutil.copytree(DOCS / "examples", tmp_path / "docs/examples")
    (tmp_path / "rules").mkdir()
    shutil.copy(ROOT / "rules/campaigns.toml", tmp_path / "rules")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if DOCS in page.parents], ids=lambda page: page.stem
)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, desk: Path) -> None:
    for block in documents.blocks(page):
        if block.file is not None:
            path = desk / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        elif block.language == "python" and NEEDS_BROKER not in block.marks:
            exec(compile(block.text, str(block), "exec"), {"__name__": "docs"})
        elif block.language == "sh" and not block.marks & {NEEDS_BROKER, NEEDS_DEMO}:
            follow(block)


def follow(block: Block) -> None:
    for spoken in documents.session(block.text):
        variables, words = documents.words(spoken.command)
        if not words or words[0] != "rekindle":
            continue
        done = CliRunner().invoke(
            main, words[1:], env=NOWHERE | variables, prog_name="rekindle", terminal_width=100
        )
        said = f"{block}: {spoken.command}\n{done.output}"
        assert done.exception is None or isinstance(done.exception, SystemExit), said
        assert (done.exit_code != 0) == (FAILS in block.marks), said
        if spoken.answer is not None:
            assert documents.answers(done.output, spoken.answer), said


def every_command(text: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    for spoken in documents.session(text):
        variables, words = documents.words(spoken.command.removesuffix("&"))
        yield variables, words


@named(of("sh"))
def test_every_command_shown_exists_with_its_options(block: Block) -> None:
    for variables, words in every_command(block.text):
        ours = {name: value for name, value in variables.items() if name.startswith("REKINDLE_")}
        Deployment.from_env(ours)
        if words and words[0] == "rekindle":
            understood(words[1:])
        if words and words[0] == "curl":
            posted(words)


def understood(words: list[str]) -> None:
    """Read a command as click does, without looking at files or servers."""
    command: click.Command = main
    context = click.Context(main, info_name="rekindle")
    while isinstance(command, click.Group):
        if not words or words[0] in {"--help", "--version"}:
            return
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, help_option_names=["-h", "--help"])
    options, left, _ = command.make_parser(context).parse_args(list(words))
    assert not left, f"{left} is too much for {command.name}"
    for parameter in command.params:
        value = options.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            assert value in parameter.type.choices
        if isinstance(parameter, click.Argument) and parameter.required and "help" not in options:
            assert value, f"{command.name} needs {parameter.name}"


def posted(words: list[str]) -> None:
    """Check what a curl sends to the worker's port: a known path and a message that is read."""
    path = next(word for word in words if "localhost" in word or "/v1/" in word)
    kind = path.partition("/v1/")[2]
    if path.endswith("/live/control"):
        msgspec.json.decode(words[words.index("-d") + 1], type=Control)
    if not kind:
        return
    if f"/v1/{kind.partition('/')[0]}" == door.PATH:
        told = json.loads(words[words.index("-d") + 1]) if "-d" in words else {}
        for product in told.get("products", [told] if told else []):
            record.converted(product)
        return
    assert kind in PATHS, path
    body = json.loads(words[words.index("-d") + 1])
    read({"type": PATHS[kind]} | body if PATHS[kind] else body)


# --- data ---------------------------------------------------------------------------------------


def read(found: object) -> None:
    """Send what a page shows through the reader it is meant for."""
    if not isinstance(found, dict):
        return
    value = json.dumps(found).encode()
    here = Position("docs", 0, 0, 0)
    if "batch" in found:
        for message in found["batch"]:
            read(message)
    elif "delivery" in found:
        actions.decode(value)
    elif "outcome" in found and "decision_id" in found:
        decisions.decode(value)
    elif "action_id" in found and "type" in found and "channel" in found:
        assert feedback.parse(value, here, RECEIVED)
    elif found.get("type") in segment._TYPES or "event" in found:
        assert segment.parse(value, here, RECEIVED)


@named(of("json", "jsonl"))
def test_every_json_block_is_read_by_whom_it_is_meant_for(block: Block) -> None:
    texts = block.text.splitlines() if block.language == "jsonl" else [block.text]
    for text in texts:
        read(json.loads(text))


@named(of("toml"))
def test_every_toml_block_is_a_kpi_file_or_part_of_a_campaigns_file_that_loads(
    block: Block,
) -> None:
    if KPIS in block.marks:
        kpi_file.read(block.text.encode(), str(block))
        return
    given = tomllib.loads(block.text)
    whole = {"version", "app"} <= given.keys()
    example = (DOCS / "examples/campaigns.toml").read_text("utf-8")
    text = block.text if whole else woven(example, block.text)
    if FAILS in block.marks:
        with pytest.raises(Refused):
            campaigns.load(text.encode(), str(block))
    else:
        campaigns.load(text.encode(), str(block))


def woven(file: str, part: str) -> str:
    """Return the file with the part in the place of its keys and sections of the same name."""
    wanted = tomllib.loads(part)
    head, *sections = re.split(r"(?m)^(?=\[)", file)
    mine, *others = re.split(r"(?m)^(?=\[)", part)
    for key in wanted:
        head = re.sub(rf"(?m)^{re.escape(key)} *=.*\n", "", head)
    replaced = {section.splitlines()[0].split("#")[0].strip() for section in others}
    kept = [
        section
        for section in sections
        if section.startswith("[[") or section.splitlines()[0].split("#")[0].strip() not in replaced
    ]
    if any(section.startswith("[[campaign]]") for section in others):
        kept = [s for s in kept if not s.startswith(("[[campaign]]", "[campaign."))]
    return head + mine + "\n" + "\n".join([*kept, *others])


@named(of("python"))
def test_every_python_block_uses_what_there_is(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text, str(block))):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


# --- links and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in documents.links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.relative_to(ROOT)} links to {link}"
        if anchor:
            assert anchor in documents.anchors(target), f"{page.relative_to(ROOT)}: {link}"


def test_every_page_can_be_found_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        names = {link.partition("#")[0] for link in documents.links(page)}
        targets = [(page.parent / name).resolve() for name in names if name]
        waiting += [one for one in targets if one.suffix == ".md" and one.exists()]
        waiting += [one for folder in targets if folder.is_dir() for one in folder.glob("*.md")]
    assert not [str(page.relative_to(ROOT)) for page in PAGES if page not in seen]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_metric_and_setting_named_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    exposed = {metric.exposed for metric in metrics.METRICS}
    ends = ("_bucket", "_sum", "_count", "_info")
    for name in set(re.findall(r"\brekindle_[a-z_]+", text)):
        bare = next((name.removesuffix(end) for end in ends if name.endswith(end)), name)
        assert {name, bare} & exposed, f"there is no metric {name}"
    families = [setting for setting in SETTINGS if isinstance(setting, ChannelSetting)]
    known = {setting.variable for setting in SETTINGS}
    for name in set(re.findall(r"\bREKINDLE_[A-Z_]+(?:<CHANNEL>)?", text)):
        if not name.startswith("REKINDLE_TEST_") and name not in {"REKINDLE_", "REKINDLE_SETTLE"}:
            assert name in known or any(f.channel(name) for f in families), f"no setting {name}"


# A reader has the product and nothing else: no plan, no minutes of how it came about.
ELSEWHERE = re.compile(
    r"(?i)\bas the (issue|design|contracts?|architecture)\b|\bcontracts? section\b|\bissue #?\d"
    r"|\b(integration|models|state|streaming|prototype|channel-trial|peers|style)\.md section"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_speaks_of_the_product_alone(page: Path) -> None:
    assert not ELSEWHERE.search(page.read_text("utf-8"))


# --- sentences of operations.md -----------------------------------------------------------------

# Whoever stops a partition, refuses to start or tells that work does not get on says so here.
SPEAKERS = (
    "engine/profile.py",
    "monitoring/health.py",
    "streams/agents/decide.py",
    "streams/agents/intake.py",
    "streams/log/away.py",
    "streams/log/source.py",
    "streams/state/policy.py",
    "streams/state/store.py",
)
# Of functions that only make the text of a refusal.
TELLERS = {"_newer", "_sentence", "away"}
GAP = "…"


def sentences(node: ast.AST) -> set[str]:
    """Return the sentences with figures in them, the figures left open as `…`."""
    found = set()
    for text in ast.walk(node):
        if isinstance(text, ast.JoinedStr):
            parts = [
                str(part.value) if isinstance(part, ast.Constant) else GAP for part in text.values
            ]
            found.add(" ".join("".join(parts).split()))
    return {
        sentence for sentence in found if sentence.endswith((".", GAP, ")")) and " " in sentence
    }


def refusals(name: str) -> set[str]:
    """Return the sentences of a module with which somebody is stopped."""
    tree = ast.parse((ROOT / name).read_text("utf-8"))
    if name == "monitoring/health.py":
        return sentences(tree)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            if ("Refused" in names and "Unavailable" not in names) or node.name in TELLERS:
                found |= {one for one in sentences(node) if not one.startswith(f"{GAP}/{GAP}:")}
    return {one for one in found if len(one) > len("partition … has another owner")}


def quoted() -> set[str]:
    """Return what operations.md quotes."""
    text = documents.prose(DOCS / "operations.md")
    quotes = re.findall(r"(?m)(?:^> .*\n?)+", text)
    return {" ".join(quote.replace("> ", "").split()) for quote in quotes}


def test_operations_quotes_every_sentence_that_stops_something() -> None:
    said = {sentence for name in SPEAKERS for sentence in refusals(name)}
    assert said - quoted() == set(), "tell what it means and what to do"


def test_operations_quotes_only_what_the_program_says() -> None:
    said = {
        sentence
        for name in SPEAKERS
        for sentence in sentences(ast.parse((ROOT / name).read_text("utf-8")))
    }
    assert quoted() - said == set()
