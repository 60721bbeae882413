"""Ready classifiers become runs without training: their labels stand for the classes, by name or as a file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from core.__main__ import main
from core.base.errors import AlignmentError, InputError, StateError
from core.blend.ensemble import open_ensemble
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.exchange.doubts import doubts_of
from core.exchange.ready import add_ready_classifier, match_labels, read_labels
from core.folds import save_folds
from core.predictions.again import load_fold, predict_run, rows_of_test
from core.predictions.export import export_run
from core.predictions.networks import network_folders
from core.predictions.oof import load_oof, load_test_prob
from core.predictions.transformers_folder import export_folders
from core.specs.folds import FoldsSpec
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.conftest import SUBJECTS, write_headlines_to
from tests.emotions import add_emotions

pytestmark = pytest.mark.slow  # networks are loaded and predict


def make_text_classifier(folder: Path, labels: list[str], **settings: Any) -> Path:
    words = ["[PAD]", "[UNK]", *(word for subject in SUBJECTS.values() for word in subject)]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=len(labels),
        **settings,
    )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: place for place, label in enumerate(labels)}
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_text_classifier_is_a_member_that_predicts_every_row_and_was_trained_on_none(workspace: Workspace, tmp_path: Path) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines_to(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    folder = make_text_classifier(tmp_path / "sentiment", ["other", "Politik", "스포츠"])
    run = add_ready_classifier(workspace, contest, folds, folder)
    assert (run.name, run.is_complete, run.imported.n_epochs) == ("sentiment", True, 0)  # type: ignore[index]
    assert any("trained elsewhere" in doubt for doubt in doubts_of(run)[1])
    assert not np.isnan(load_oof(workspace, run, contest)).any()
    again = predict_run(workspace, contest, run, rows_of_test(load_table(workspace, contest)))
    assert again.tobytes() == load_test_prob(workspace, run).tobytes()
    assert open_ensemble(workspace, contest, [run]).member_scores()
    (network,) = load_fold(workspace, contest, run, run.results[0])
    assert (network.spec.family, network.spec.fold, network.spec.label_groups) == ("ready", -1, ((1,), (2,)))
    inodes = {(network_folders(workspace.absolute(result.path))[0] / "model.safetensors").stat().st_ino for result in run.results}
    assert len(inodes) == 1, "the weights are on the disk once"
    export_run(workspace, contest, run)
    exported = predict_run(workspace, contest, run, rows_of_test(load_table(workspace, contest)), runtime="onnx")
    np.testing.assert_allclose(exported, again, atol=1e-4)
    with pytest.raises(StateError, match="as a folder for transformers") as caught:
        export_folders(workspace, contest, run, tmp_path / "out", after_network=lambda done, n: None)
    assert "is one already" in caught.value.why and [*(tmp_path / "out").iterdir()] == []


def test_several_labels_stand_for_a_class_and_the_rest_for_none(workspace: Workspace, tmp_path: Path) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines_to(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    folder = make_text_classifier(tmp_path / "topics", ["a", "b", "c", "d"])
    with pytest.raises(AlignmentError, match="labels do not fit") as caught:
        add_ready_classifier(workspace, contest, folds, folder)
    assert "politik, 스포츠" in caught.value.where and "a, b, c, d" in caught.value.why
    (tmp_path / "labels.yaml").write_text("politik: [a, c]\n스포츠: b\n", encoding="utf-8")
    run = add_ready_classifier(workspace, contest, folds, folder, labels=read_labels(tmp_path / "labels.yaml"))
    (network,) = load_fold(workspace, contest, run, run.results[0])
    texts = load_table(workspace, contest).test["input"].tolist()
    own = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    with torch.inference_mode():
        logits = [own(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0] for text in texts]
    prob = torch.stack(logits).softmax(1)
    expected = torch.stack([prob[:, 0] + prob[:, 2], prob[:, 1]], 1)
    np.testing.assert_allclose(network.predict(texts), expected / expected.sum(1, keepdim=True), atol=1e-6)


def test_an_image_classifier_of_timm_keeps_its_own_pixels(workspace: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for number in range(6):
            path = tmp_path / "pets" / "train" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)).save(path)
    contest = add_contest(workspace, inspect_path(tmp_path / "pets").draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    network = timm.create_model("test_resnet", num_classes=3)
    folder = tmp_path / "net"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    pixels = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "input_size": [3, 32, 32]}
    config = {"architecture": "test_resnet", "num_classes": 3, "label_names": ["dog", "bird", "cat"], "pretrained_cfg": pixels}
    (folder / "config.json").write_text(json.dumps(config))
    run = add_ready_classifier(workspace, contest, folds, folder)
    (loaded,) = load_fold(workspace, contest, run, run.results[1])
    assert (loaded.spec.label_groups, loaded.spec.input_px) == (((2,), (0,)), 32)
    assert np.isfinite(load_oof(workspace, run, contest)).all()
    with pytest.raises(InputError, match="no classifier for the contest"):
        add_ready_classifier(workspace, contest, folds, make_text_classifier(tmp_path / "text", ["cat", "dog"]))


def test_a_label_stands_for_one_class_only() -> None:
    assert match_labels(["NEG", "Pos"], ["pos", "neg"], {}) == ((1,), (0,))
    for given in ({"pos": ["x"], "neg": ["x"]}, {"pos": ["x"], "neg": ["nowhere"]}, {"pos": ["x"], "neg": ["y"], "other": ["y"]}):
        with pytest.raises(AlignmentError, match="labels do not fit"):
            match_labels(["x", "y"], ["pos", "neg"], given)


@pytest.mark.parametrize("several", [False, True])
def test_a_column_of_any_table_is_classified_without_a_contest(tmp_path: Path, several: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """KOTE's: own labels in their order; probabilities of each label, or such as sum to one, as its problem_type says."""
    labels = ["기쁨", "없음", "a,b"]
    folder = make_text_classifier(tmp_path / "kote", labels, **({"problem_type": "multi_label_classification"} if several else {}))
    texts = [f"{word} {other}" for words in SUBJECTS.values() for word in words for other in words][:7]
    (tmp_path / "reviews.tsv").write_text("film\ttext\n" + "".join(f"f{row}\t{text}\n" for row, text in enumerate(texts)), encoding="utf-8")
    out = tmp_path / "prob.csv"
    arguments = ["predict", "--ready", str(folder), str(tmp_path / "reviews.tsv"), "--output", str(out), "--json"]
    assert main([*arguments, "--column", "text"]) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out) == {"file": str(out), "n_rows": 7, "labels": labels, "several": several}
    found = pd.read_csv(out)
    assert found.columns.tolist() == ["id", *labels]
    own, tokenizer = BertForSequenceClassification.from_pretrained(folder).eval(), PreTrainedTokenizerFast.from_pretrained(folder)
    with torch.inference_mode():
        logits = torch.cat([own(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits for text in texts])
    np.testing.assert_allclose(found[labels], logits.sigmoid() if several else logits.softmax(1), atol=1e-5)
    assert main([*arguments, "--column", "review"]) == 2 and "film, text" in capsys.readouterr().err


def test_labels_of_several_classes_are_matched_and_those_without_a_class_are_said(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contest = add_emotions(workspace, tmp_path / "emotions", layout="columns")
    save_folds(workspace, contest, FoldsSpec(n_folds=2))
    folder = make_text_classifier(tmp_path / "kote", ["없음", *reversed(contest.spec.classes)], problem_type="multi_label_classification")
    assert main(["--workspace", str(workspace.root), "predictions", "classify", "emotions", str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert "left out: 없음" in said.err and any("trained elsewhere" in doubt for doubt in json.loads(said.out)["warnings"])
    (run,) = list_runs(workspace.store, contest.id)
    (network,) = load_fold(workspace, contest, run, run.results[0])
    assert network.spec.label_groups == tuple((place,) for place in range(6, 0, -1))
    assert not np.isnan(load_oof(workspace, run, contest)).any() and load_test_prob(workspace, run).shape == (contest.n_test, 6)
