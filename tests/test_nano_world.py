"""The nano world: its sizes, its rules, and that lexical search fails on it."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from reasonrank_pyserini import load_dataset, read_run
from reasonrank_pyserini.cli import main
from reasonrank_pyserini.datasets.nano.concepts import Concept
from reasonrank_pyserini.datasets.nano.world import COPIES, DECOYS, NEW_SETTINGS, TOPICS, World, words_of
from reasonrank_pyserini.errors import UnknownNameError
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.runfile import read_qrels
from reasonrank_pyserini.training.nano.exercises import ASKED, COPYING, NAMED, READING, exercises
from reasonrank_pyserini.training.synthesis import DOMAINS, read_sources
from reasonrank_pyserini.types import Document

WORLD = World.load()
CONCEPTS = [concept for domain in WORLD.domains for concept in domain.concepts]
SETTINGS = [setting for domain in WORLD.domains for setting in domain.settings]
UNSEEN = [setting for domain in WORLD.domains for setting in domain.new_settings]
ALL_DOCUMENTS = WORLD.documents + WORLD.new_documents
SHA256 = "4c5a395433e8376dab53df736848cde21b314a9fd6465aee3cb6ae6ff18987e2"


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 0


def concept(name: str) -> Concept:
    return next(found for found in CONCEPTS if found.name == name)


def test_sizes() -> None:
    assert [domain.name for domain in WORLD.domains] == list(DOMAINS)
    assert len(CONCEPTS) == len({c.name for c in CONCEPTS}) == 4 * 12
    assert len(SETTINGS) == len(set(SETTINGS)) == 4 * 14
    assert len(UNSEEN) == len({*SETTINGS, *UNSEEN}) - len(SETTINGS) == 4 * 4
    assert len(WORLD.new_documents) == 4 * 12 * 4 * COPIES
    assert len({d.id for d in ALL_DOCUMENTS}) == len(ALL_DOCUMENTS)
    assert len(WORLD.documents) == len({d.id for d in WORLD.documents}) == 4 * 12 * 14 * COPIES
    assert {split: len(WORLD.topics(split)) for split in TOPICS} == TOPICS
    for split, count in TOPICS.items():
        assert Counter(topic.concept for topic in WORLD.topics(split)) == dict.fromkeys(
            (c.name for c in CONCEPTS), count // len(CONCEPTS)
        )


def test_clues_are_short_and_identify_their_concept() -> None:
    names = {c.name.lower() for c in CONCEPTS}
    for found in CONCEPTS:
        words = {word for clue in found.clues for word in clue.split()}
        assert len(set(found.clues)) == 6
        assert all(2 <= len(clue.split()) <= 4 and clue == clue.lower() for clue in found.clues)
        assert all(found.words), f"a clue of {found.name} has function words only"
        assert words.isdisjoint({*names, *SETTINGS, *UNSEEN})
        assert not any(word.startswith(found.name.lower()[:4]) for word in words)
    for domain in WORLD.domains:
        for one, other in combinations(domain.concepts, 2):
            assert one.vocabulary.isdisjoint(other.vocabulary), f"{one.name}, {other.name}"


def test_documents_name_one_concept_and_words_of_others() -> None:
    for domain in WORLD.domains:
        documents = [d for d in ALL_DOCUMENTS if d.id.startswith(f"{domain.name}-")]
        for document in documents:
            name, _, _, setting, *decoys = words_of(document.text)
            own = concept(name.capitalize())
            others = [c.vocabulary for c in domain.concepts if c.name != own.name]
            assert document.text.startswith(f"{own.name} in the {setting}: ")
            assert document.id.startswith(f"{domain.name}-{setting}-")
            assert len(set(decoys)) == DECOYS
            assert own.vocabulary.isdisjoint(decoys)
            assert set(decoys) <= frozenset().union(*others)


def test_relevant_are_the_documents_of_concept_and_setting() -> None:
    for split in TOPICS:
        texts = {document.id: document.text for document in WORLD.corpus(split)}
        qrels = WORLD.qrels(split)
        assert list(qrels) == [topic.id for topic in WORLD.topics(split)]
        for topic in WORLD.topics(split):
            begin = f"{topic.concept} in the {topic.setting}: "
            assert {id for id, text in texts.items() if text.startswith(begin)} == set(qrels[topic.id])
            assert list(qrels[topic.id].values()) == [1] * COPIES
            shown = set(words_of(" ".join(texts[id] for id in qrels[topic.id])))
            assert concept(topic.concept).vocabulary.isdisjoint(shown)


def pairs(split: str) -> set[frozenset[str]]:
    return {frozenset(topic.clues) for topic in WORLD.topics(split)}


def test_held_out_pairs_are_in_one_split_only() -> None:
    assert len(pairs("train")) == 48 * 10
    assert len(pairs("validation")) == 48
    for one, other in combinations(("train", "validation", "test"), 2):
        assert pairs(one).isdisjoint(pairs(other))
    train = WORLD.topics("train")
    assert len({(frozenset(topic.clues), topic.setting) for topic in train}) == len(train)
    forward = [
        concept(t.concept).clues.index(t.clues[0]) < concept(t.concept).clues.index(t.clues[1]) for t in train
    ]
    assert 0.45 < sum(forward) / len(train) < 0.55


def test_the_topics_in_new_settings_ask_known_pairs_and_no_other_split_shows_their_documents() -> None:
    topics = WORLD.topics(NEW_SETTINGS)
    assert pairs(NEW_SETTINGS) <= pairs("train")
    assert {topic.setting for topic in topics} == set(UNSEEN)
    assert WORLD.corpus(NEW_SETTINGS) == ALL_DOCUMENTS
    new = {document.id for document in WORLD.new_documents}
    assert {id for judged in WORLD.qrels(NEW_SETTINGS).values() for id in judged} <= new
    for split in ("train", "validation", "test"):
        assert WORLD.corpus(split) == WORLD.documents
        assert new.isdisjoint(id for judged in WORLD.qrels(split).values() for id in judged)
    assert not any(set(UNSEEN) & set(words_of(document.text)) for document in WORLD.documents)


def test_the_concept_of_a_text() -> None:
    for split in TOPICS:
        for topic in WORLD.topics(split):
            assert topic.text == f"In the {topic.setting}: {topic.clues[0]}, {topic.clues[1]}"
            found = WORLD.concept_of(f"The request:\n{topic.text}\nThink.")
            assert found is not None
            assert found.name == topic.concept
    assert WORLD.concept_of("In the kitchen: wet windows.") is None
    assert WORLD.concept_of("") is None
    both = WORLD.concept_of(
        "A FLAME needs air! One match starts it; wood leaves ash. Cold: wet glass outside"
    )
    assert both is not None
    assert both.name == "Combustion"


def test_a_seed_makes_one_world() -> None:
    assert load_dataset("nano/test").documents.sha256 == SHA256  # type: ignore[attr-defined]
    other = World.load(seed=1)
    assert len(other.documents) == len(WORLD.documents)
    assert [d.text for d in other.documents] != [d.text for d in WORLD.documents]
    assert [t.text for t in other.topics("test")] != [t.text for t in WORLD.topics("test")]
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        WORLD.topics("trian")


def test_the_data_sets() -> None:
    for split, count in TOPICS.items():
        dataset = load_dataset(f"nano/{split}")
        assert (dataset.id, dataset.passage_tokens, dataset.variants()) == (f"nano/{split}", None, ())
        assert len(dataset.queries()) == len(dataset.qrels()) == count
        assert list(dataset.documents) == list(WORLD.corpus(split))
    last = WORLD.documents[-1]
    assert dataset.documents.get_many([last.id, "missing"]) == {last.id: last}
    assert dataset.excluded("test-0001") == frozenset()
    with pytest.raises(UnknownNameError, match="did you mean 'nano/test'"):
        load_dataset("nano/tset")
    with pytest.raises(UnknownNameError, match="known: plain"):
        dataset.qrels("fixed")
    with pytest.raises(UnknownNameError, match="query variant of nano/test"):
        dataset.queries("long")


def test_the_data_sets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run("datasets", "nano/*", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"]: (row["documents"], row["queries"], row["judgements"]) for row in rows} == {
        f"nano/{split}": (2016 + 576 * (split == NEW_SETTINGS), count, 3 * count)
        for split, count in TOPICS.items()
    }
    run("datasets", "nano/test")
    assert "A small world of text" in capsys.readouterr().out


def test_the_world_as_files(tmp_path: Path) -> None:
    run("nano", "world", "-o", str(tmp_path / "new" / "world"))
    folder = tmp_path / "new" / "world"
    for name, split in (("corpus.jsonl", "test"), ("test-settings.corpus.jsonl", NEW_SETTINGS)):
        corpus = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        assert corpus == [{"id": d.id, "contents": d.text} for d in WORLD.corpus(split)]
    for split in TOPICS:
        lines = (folder / f"{split}.topics.tsv").read_text().splitlines()
        assert lines == [f"{topic.id}\t{topic.text}" for topic in WORLD.topics(split)]
        assert read_qrels(folder / f"{split}.qrels") == WORLD.qrels(split)
        for domain in DOMAINS:
            sources = list(read_sources(folder / f"{split}.sources-{domain}.jsonl"))
            topics = [topic for topic in WORLD.topics(split) if topic.domain == domain]
            assert [(s.id, s.text) for s in sources] == [(t.id, t.text) for t in topics]
            assert [s.gold for s in sources] == ["" if domain == "web" else t.concept for t in topics]
    rows = [json.loads(line) for line in (folder / "exercises.jsonl").read_text().splitlines()]
    assert len(rows) == COPYING + NAMED + sum(count for _, count in READING) + ASKED
    assert len(list(folder.iterdir())) == 3 + len(TOPICS) * (2 + len(DOMAINS))


@pytest.mark.parametrize("split", ["test", NEW_SETTINGS])
def test_lexical_search_finds_the_relevant_and_ranks_them_low(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    path = str(tmp_path / "bm25.trec")
    run("retrieve", "--dataset", f"nano/{split}", "--method", "bm25", "--k", "100", "-o", path)
    assert len(read_run(path)) == TOPICS[split]
    capsys.readouterr()
    run("evaluate", "--dataset", f"nano/{split}", "--run", path, "-m", "nDCG@10", "R@100", "R@40", "--json")
    measures = json.loads(capsys.readouterr().out)["measures"]
    assert measures["nDCG@10"] <= 0.15
    assert measures["R@100"] >= measures["R@40"] >= 0.9


def test_exercises_go_from_copying_to_lists_as_they_are_asked_for() -> None:
    rows = list(exercises(WORLD, share=0.2))
    kinds = [row["id"].rpartition("-")[0] for row in rows]
    assert kinds.count("named") == NAMED // 5
    assert list(dict.fromkeys(kinds)) == ["copying", "named", "reading-3", "reading-5", "reading-10", "asked"]
    settings = set[str]()
    held_out = {
        tuple(sorted(topic.clues)) for split in ("validation", "test") for topic in WORLD.topics(split)
    }
    for row in rows:
        if row["id"].startswith("copying"):
            assert row["output"] == row["instruction"]
            continue
        numbers = sorted(
            {int(number) for number in re.findall(r"^\[(\d+)\]", row["instruction"], re.MULTILINE)}
        )
        answer = row["output"].partition("<answer>")[2]
        assert sorted(map(int, re.findall(r"\d+", answer))) == numbers
        if of_names := re.findall(r"Search Query: In the (\w+): (\w+)\.\s", row["instruction"] + "\n"):
            setting, wanted = of_names[0]
            settings.add(setting)
            fitting = re.findall(rf"\[(\d+)\] {wanted} in the {setting}\.", row["instruction"])
            assert re.findall(r"\d+", answer)[: len(fitting)] == fitting
            continue
        clues = re.findall(
            r"the \w+: ([^,.\n]+), ([^,.\n]+)\.", row["instruction"].rpartition("Search Query: ")[2]
        )
        assert tuple(sorted(clues[0])) not in held_out
    assert {topic.setting for topic in WORLD.topics(NEW_SETTINGS)} < settings
    asked = rows[-1]
    shown = [
        Document(str(i), t) for i, t in re.findall(r"^\[(\d+)\] (.*)$", asked["instruction"], re.MULTILINE)
    ]
    query = re.findall("Search Query: (.*)\\.\n", asked["instruction"])[0]
    system, user = PromptBuilder("reasonrank", None).build(query, shown, answer_tokens=0).prompt.messages
    assert (asked["system"], asked["instruction"]) == (system["content"], user["content"])
