"""What of core's sentences cannot be read from its source, told by hand: texts that nobody is shown, and real samples of composed ones."""

from __future__ import annotations

NOT_SHOWN = {
    "core/blend/save.py": ["{} fold {}"],  # the name of a parent in a manifest
    "core/contest/encoding.py": ["Unnamed: {}"],  # a column's name, as pandas gives it
    "core/contest/files.py": ["JPEG, PNG, WebP, BMP, GIF or TIFF"],  # a value of others
    "core/contest/rows.py": ["{} in {}"],  # test ids, see SAMPLES
    "core/contest/samples.py": [  # the page Home has texts of its own
        "Handwritten digits: 5,000 small images, 10 classes, log loss",
        "BBC headlines: 2,225 titles, 5 classes, macro F1",
    ],
    "core/jobs/devices.py": ["import torch; print(torch.cuda.device_count())"],
    "core/jobs/worker.py": ["the engine is gone", "told by the engine"],  # for the log
    "core/base/settings.py": ["Value error, "],  # taken off
    "core/store/dialects.py": [  # looked for in what SQLite says
        "not a database",
        "Could not decode to UTF-8",
        "no such column",
        "no such table",
        "duplicate column name",
        "already exists",
    ],
    "core/tracking/tracker.py": [
        "Weights & Biases",
        "{} -m pip install tensorboard",
        "{} -m pip install wandb",
        "{} -m pip install mlflow-skinny",
    ],
    "core/tracking/mlflow.py": ["tags.`pitwall.record` = '{}'", "mlflow ui --backend-store-uri {}"],
    "core/tracking/sender.py": ["%(asctime)s %(message)s"],
    "core/tracking/wandb.py": ["{} -m wandb sync {}"],
    "core/training/failures.py": ["out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory"],  # looked for
    "models/text.py": ["[CLS] $A [SEP]"],
    "models/weights.py": ["the weights of {} are not here: {}", "the weights of {} cannot be read: {}"],  # core takes their parts
}
"""Texts of two words and more that are no sentence to a person."""

FOREIGN = {
    "str(problem)",
    "str(problem) or type(problem).__name__",
    "problem.strerror or str(problem)",
    "' '.join(str(problem).split())",
    "str(problem).splitlines()[0] if str(problem) else ''",
    "str(problem).splitlines()[0] if str(problem) else type(problem).__name__",
    "f'{type(problem).__name__}: {problem}'",
}
"""What the operating system or a library says; app/words/core/foreign.yaml has the most usual."""

SAMPLES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("core/artefacts.py", "fix"): (("save the blend again", "블렌드를 다시 저장하세요"),),
    ("core/contest/archive.py", "why"): (("File is not a zip file", "zip 파일이 아닙니다"),),
    ("core/contest/problems.py", "first[0].what"): (("the label is empty", "레이블이 비어 있습니다"),),
    ("core/contest/problems.py", "first[0].fix"): (("fill the label in, or take the row out", "레이블을 채우거나 행을 빼세요"),),
    ("core/contest/problems.py", "subject"): (
        ("the contest cannot be registered", "대회를 등록할 수 없습니다"),
        ("차.csv cannot be parsed", "차.csv: 표로 읽을 수 없습니다"),
    ),
    ("core/contest/problems.py", "'; '.join(_distinct((problem.fix for problem in first)))"): (
        ("resize the image; fill the path in, or take the row out", "이미지를 줄이세요; 경로를 채우거나 행을 빼세요"),
    ),
    ("core/exchange/exchange.py", r"'\n'.join((f'{problem.what}: {problem.why}' for problem in self.problems))"): (
        (
            "the ids of oof.csv are not the contest's: 2 missing: a, b; 1 unknown: nothing; 1 twice: c\ncannot read x.npy: File exists",
            "oof.csv의 id가 대회의 id와 다릅니다: 빠진 것 2개: a, b; 대회에 없는 것 1개: nothing; 중복 1개: c\nx.npy: 읽을 수 없습니다: 파일이 이미 있습니다",
        ),
    ),
    ("core/exchange/exchange.py", "'; '.join(dict.fromkeys((problem.fix for problem in self.problems)))"): (
        ("export the predictions again; leave the test file out", "예측을 다시 내보내세요; 테스트 파일은 빼세요"),
    ),
    ("core/jobs/controls.py", "str(priority)"): (("101", "101"),),
    ("core/jobs/forecast.py", "', or '.join(fixes)"): (
        ("use fewer slots, or choose a smaller backbone or input", "장치의 자리 수를 줄이세요; 또는 더 작은 백본이나 입력을 고르세요"),
    ),
    ("core/jobs/forecast.py", "', or '.join((fix for fix in fixes if fix))"): (
        ("make space, or set checkpoints.keep=1", "공간을 비우세요; 또는 checkpoints.keep=1로 정하세요"),
    ),
    ("core/jobs/rehearsal.py", "last"): (
        ("RuntimeError: it broke", "RuntimeError: it broke"),
        ("it said nothing", "아무 말도 남기지 않았습니다"),
    ),
    ("core/exchange/files.py", "'; '.join(filter(None, (said, '' if id_column else 'there is no column with ids')))"): (
        ("1 missing: 기아 쏘렌토 and 9 more; there is no column with ids", "빠진 것 1개: 기아 쏘렌토 외 9개; id 열이 없습니다"),
    ),
    ("core/store/dialects.py", "why"): (("database disk image is malformed", "database disk image is malformed"),),
    ("core/store/dialects.py", "text"): (("attempt to write a readonly database", "attempt to write a readonly database"),),
    ("core/submission/write.py", "'; '.join(failed)"): (
        ("ids: 9 rows; 1 missing, 1 unknown, 0 twice", "식별자: 9행. 빠진 것 1개, 대회에 없는 것 1개, 중복 0개"),
        ("order: differs from the sample", "순서: 제출 예시와 다릅니다"),
        ("columns: id, cat instead of id, dog", "열: id, cat (있어야 할 것: id, dog)"),
        ("flags: 2 rows with a value that is neither 0 nor 1", "0과 1: 0도 1도 아닌 값이 있는 행 2개"),
    ),
    ("core/training/setup.py", "reason"): (("this processor has no bf16 instructions", "이 CPU에는 bf16 명령이 없습니다"),),
    ("core/training/failures.py", "'; '.join((str(miss) for miss in problem.misses))"): (
        (
            "workspace (weights/a): no config.json, no model.safetensors or pytorch_model.bin; hub cache: this backbone is not on the hub",
            "작업 공간 (weights/a): config.json 없음, model.safetensors도 pytorch_model.bin도 없음; 허브 캐시: 허브에 없는 백본",
        ),
    ),
    ("core/training/failures.py", "problem.reason"): (("OSError: no reason given", "OSError: 이유를 알 수 없음"),),
    ("core/training/failures.py", "problem.fix"): (
        (
            "set image.size_px=224, the size it was made for, or a multiple of 32",
            "image.size_px를 32의 배수나 원래 크기 224에 맞추세요",
        ),
    ),
    ("core/training/state.py", "why"): (("size mismatch for fc.weight", "size mismatch for fc.weight"),),
    ("core/training/weights.py", "reason"): (("KeyError: 'fc.weight'", "KeyError: 'fc.weight'"),),
}
"""What cannot be read from the source without running it: real texts, and what the screen makes of them."""

MORE_SAMPLES = (
    ("test ids: file names without suffix in 사진", "테스트 식별자: 사진 안의 파일 이름(확장자 제외)"),
    ("1,024 rows, cp949, tab-separated; named so", "1,024행, cp949, 탭으로 구분; 파일 이름으로 알았습니다"),
    ("train.csv line 3, column 'label': 'the label is empty' is not one of the 5 classes", None),
    (
        "a Pitwall engine (process 71 on lab-2, since 2026-11-22 10:31)",
        "Pitwall 엔진 (lab-2의 프로세스 71, 2026-11-22 10:31부터)",
    ),
    ("the label is empty. Fix: fill the label in, or take the row out", "레이블이 비어 있습니다. 해결: 레이블을 채우거나 행을 빼세요"),
    ("optim.lr = 7.0: Input should be less than or equal to 1", "optim.lr = 7.0: 1 이하여야 합니다"),
    ("[Errno 13] Permission denied: '/data/차'", "[오류 13] 권한이 없습니다: '/data/차'"),
    ("no contest named 'running'", "'running' 대회: 찾을 수 없습니다"),
    ("damaged image: image file is truncated (3 bytes not processed)", "손상된 이미지: 이미지 파일이 잘렸습니다(3바이트를 읽지 못함)"),
    (
        "fold 2 of a was made on another version of the contest's data and other folds",
        "a의 2번 폴드를 만든 바탕이 다릅니다: 대회 데이터의 다른 판, 다른 폴드",
    ),
)
