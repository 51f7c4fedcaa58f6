"""Options that are given more than once: lists are lists, and anything else is refused."""

import json

import pytest
import typer

from charlm.cli.app import COMMANDS, app
from charlm.cli.options import unescaped
from charlm.errors import UsageError
from tests.commands import TEXT, is_error, trained

KNOWN = {name: typer.main.get_command(app).commands[name] for name in sorted(COMMANDS)}  # type: ignore[attr-defined]
OPTIONS = [
    (name, option)
    for name, command in KNOWN.items()
    for option in command.params
    if option.param_type_name == "option" and "--help" not in option.opts
]
LISTS = {"--prompt", "--stop", "--clamp", "--feature", "--glob", "--show"}
SEPARATOR = "\n----------\n"


def parsed(name: str, *words: str) -> dict:
    arguments = {"train": ["t.txt"], "predict": ["t.txt"]}.get(name, [])
    return KNOWN[name].make_context(name, [*arguments, *words]).params


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda each: each if isinstance(each, str) else each.opts[0])
def test_an_option_is_given_once_unless_it_is_a_list(name, option):
    """The second time is an error that names it, whatever it is called; a list has both, and a flag is set."""
    if option.is_flag:
        for each in option.secondary_opts:
            with pytest.raises(UsageError, match=f"^{option.opts[0]} was given twice"):
                parsed(name, option.opts[0], each)
        if "--version" not in option.opts and not option.secondary_opts:
            assert parsed(name, option.opts[0], option.opts[-1])[option.name] is True
        return
    value = "7"
    first, *_, last = option.opts * 2
    if LISTS & set(option.opts):
        assert list(parsed(name, first, value, last, "8")[option.name]) == ["7", "8"]
        return
    with pytest.raises(UsageError, match=f"^{max(option.opts, key=len)} was given twice, and has one value$"):
        parsed(name, first, value, last, value)


def test_the_lists_are_those_that_there_are():
    """Whoever adds one names it here, and in the documents."""
    assert {max(each.opts, key=len) for _, each in OPTIONS if each.multiple} == LISTS


@pytest.mark.parametrize("words", [("--length", "5", "--length=6"), ("-n5", "-n6"), ("-c", "a", "--checkpoint", "b")])
def test_a_second_value_is_one_line_and_status_two(charlm, words):
    """However it is written, and before anything is opened."""
    is_error(charlm("sample", *words), 2, "was given twice, and has one value. Leave one of them out")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of TEXT."""
    return str(trained(tmp_path_factory.mktemp("text")))


@pytest.fixture
def sample(charlm, model):
    """Draw some characters with one seed."""

    def run(*arguments: str, stdin: bytes = b""):
        return charlm("sample", "-c", model, "--seed", "1", *arguments, stdin=stdin)

    return run


@pytest.mark.parametrize("number", ["1", "3"])
def test_each_prompt_has_the_samples_that_it_has_alone(sample, number):
    """In the order of the prompts; JSON says which prompt each sample goes on from."""
    prompts = ["the cat", "", "on", "the cat", "sat "]
    several = [word for prompt in prompts for word in ("--prompt", prompt)]
    options = ("-n", "30", "--num-samples", number)
    alone = [sample("-p", prompt, *options).text for prompt in prompts]
    assert sample(*several, *options).text == SEPARATOR.join(alone)
    rows = json.loads(sample(*several, *options, "--json").text)["samples"]
    assert [row["prompt"] for row in rows] == [prompt for prompt in prompts for _ in range(int(number))]
    assert SEPARATOR.join(row["prompt"] + row["text"] for row in rows) == SEPARATOR.join(alone)


def test_one_of_several_prompts_may_come_from_standard_input(sample):
    """But only one, for it is read once."""
    expected = sample("--prompt", "the", "--prompt", "on", "-n", "9")
    assert sample("--prompt", "the", "--prompt", "-", "-n", "9", stdin=b"on").out == expected.out
    is_error(sample("--prompt", "-", "--prompt", "-", stdin=b"on"), 2, "--prompt - was given twice")
    is_error(sample("--prompt", "a", "--prompt", "b", "--prompt-file", "t.txt"), 2, "given together")


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_sample_ends_at_the_first_stop_that_comes(sample, number):
    """Whichever that is; of two that end together the longer is left out; one that never comes changes nothing."""
    options = ("-n", "60", "--num-samples", number)
    for whole, *_ in [sample(*options).text.split(SEPARATOR)]:
        one, other, late = whole[9:11], whole[4:6], whole[30:33]
        found = sample(*options, "--stop", late, "--stop", one, "--stop", other).text.split(SEPARATOR)[0]
        assert found == whole[: min(whole.index(each) for each in (one, other, late))]
        longer = whole[3:6]
        first = min(whole.index(longer), whole.index(longer[1:]))
        assert sample(*options, "--stop", longer[1:], "--stop", longer).text.split(SEPARATOR)[0] == whole[:first]
        assert sample(*options, "--stop", "tttttt", "--stop", "").text.split(SEPARATOR)[0] == whole


ESCAPED = [
    (r"\n", "\n"),
    (r"\t", "\t"),
    (r"\r\n", "\r\n"),
    (r"\\", "\\"),
    (r"\\n", r"\n"),
    (r"\\\n", "\\\n"),
    (r"\x", r"\x"),
    (r"a\nb\n", "a\nb\n"),
    ("\\", "\\"),
    ("\n", "\n"),
    (r"C:\new", "C:\new"),
    ("", ""),
    (r"\d+", r"\d+"),
]


@pytest.mark.parametrize(("typed", "meant"), ESCAPED)
def test_what_is_typed_for_a_line_end_is_one(typed, meant):
    r"""\n, \t, \r and \\ stand for what they do everywhere; any other backslash is itself."""
    assert unescaped(typed) == meant


def test_a_stop_may_be_a_line_end(sample):
    r"""--stop '\n' ends a sample with its line; in a prompt a backslash is a backslash, which this model never saw."""
    whole = sample("-n", "200").text
    assert "\n" in whole
    assert sample("-n", "200", "--stop", r"\n").text == sample("-n", "200", "--stop", "\n").text == whole.split("\n")[0]
    is_error(sample("--prompt", r"the\n"), 1, r"never seen '\\'")
    assert TEXT.count("\\") == 0
