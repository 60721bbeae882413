"""Predict texts with the network in this folder: `python predict.py TEXT ...`, or texts on standard input, one a line.

Needs torch, transformers, numpy and safetensors. Each line that is printed is one text's probabilities by class, as JSON.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from core.data.tokens import Cut
from models.head import LayerMix, TwoLevels, make_token_pool, pool_tokens

SETTINGS_FILE, HEAD_FILE = "head.json", "head.safetensors"
BATCH = 16


class FolderClassifier(nn.Module):
    """The encoder of transformers in a folder with the head beside it. `classes` are in the order of its probabilities."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        said: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        head = load_file(folder / HEAD_FILE)
        logging.set_verbosity_error()  # of a pooler that the encoder was trained without
        logging.disable_progress_bar()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.encoder: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self.encoder.config.use_cache = False
        self.classes: list[str] = said["classes"]
        self.labels, self.one_vs_rest, self.kind, self.pad_id = said["labels"], said["one_vs_rest"], said["pooling"], said["pad_id"]
        self.cut = Cut(**said["cut"])
        n_outputs, width = head["classifier.weight"].shape
        self.two_levels = TwoLevels(said["coarse"]) if said["coarse"] else None
        self.layers = None if said["layers"] == "last" else LayerMix(said["layers"], self.encoder.config.num_hidden_layers)
        self.pooling = make_token_pool(self.kind, width)
        self.classifier = nn.Linear(width, n_outputs)
        found = self.load_state_dict(head, strict=False)
        if missing := [name for name in found.missing_keys if not name.startswith("encoder.")] + found.unexpected_keys:
            raise ValueError(f"{HEAD_FILE} does not fit {SETTINGS_FILE}: {missing}")
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (n, n_classes) of token ids (n, length), with special tokens."""
        if self.layers is None:
            tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        else:
            read = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
            tokens = self.layers(read.hidden_states[1:])
        outputs = self.classifier(pool_tokens(self.kind, self.pooling, tokens, attention_mask))
        return outputs if self.two_levels is None else self.two_levels(outputs)

    @torch.inference_mode()
    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (n, n_classes) of texts; of several windows of a long text the mean of the logits."""
        ids = [np.array(each, dtype=np.int32) for each in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
        counts = [self.cut.count(len(each)) for each in ids]
        windows = [self.cut.window(each, number) for each, n in zip(ids, counts, strict=True) for number in range(n)]
        batches = [self._padded(windows[start : start + BATCH]) for start in range(0, len(windows), BATCH)]
        logits = torch.cat([self(*batch) for batch in batches])
        mean = torch.stack([of_text.mean(dim=0) for of_text in logits.split(counts)]).double()
        if self.labels == "several":
            return torch.sigmoid(mean).float().numpy()
        return torch.softmax(F.logsigmoid(mean) if self.one_vs_rest else mean, dim=1).float().numpy()

    def _padded(self, windows: Sequence[NDArray[np.int32]]) -> tuple[Tensor, Tensor]:
        shape = (len(windows), max(map(len, windows)))
        ids, mask = torch.full(shape, self.pad_id), torch.zeros(shape, dtype=torch.long)
        for row, window in enumerate(windows):
            ids[row, : len(window)], mask[row, : len(window)] = torch.from_numpy(window.astype(np.int64)), 1
        return ids, mask


def main() -> None:
    """Print what the network says of the texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="without any, each line of standard input is a text")
    texts: list[str] = parser.parse_args().texts or sys.stdin.read().splitlines()
    network = FolderClassifier(Path(__file__).resolve().parent)
    for row in network.predict(texts) if texts else ():
        sys.stdout.write(json.dumps(dict(zip(network.classes, row.tolist(), strict=True)), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
