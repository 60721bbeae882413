"""Ready classifiers become runs without training: their labels stand for the classes, by name or as a file says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from core.base.errors import AlignmentError, InputError
from core.blend.ensemble import open_ensemble
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.exchange.doubts import doubts_of
from core.exchange.ready import add_ready_classifier, match_labels, read_labels
from core.folds import save_folds
from core.predictions.again import load_fold, predict_run, rows_of_test
from core.predictions.networks import network_folders
from core.predictions.oof import load_oof, load_test_prob
from core.specs.folds import FoldsSpec
from core.workspace import Workspace
from tests.conftest import SUBJECTS, write_headlines_to

pytestmark = pytest.mark.slow  # networks are loaded and predict


def make_text_classifier(folder: Path, labels: list[str]) -> Path:
    words = ["[PAD]", "[UNK]", *(word for subject in SUBJECTS.values() for word in subject)]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=len(labels)
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
