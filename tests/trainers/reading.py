"""Reads the exports of one data set as trainers do, in the environment of the trainers and not in that of the product.

`python reading.py FOLDER REPORT` loads each export in the folder with Hugging Face `datasets`, checks those for TRL
with TRL, trains a tiny random model on them for one step, and writes what it read to the report, a JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# These live in the environment of the trainers.
from datasets import Dataset, load_dataset  # type: ignore[import-not-found]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # type: ignore[import-not-found]
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # type: ignore[import-not-found]
from trl import (  # type: ignore[import-not-found]
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
    SFTConfig,
    SFTTrainer,
)
from trl.data_utils import is_conversational  # type: ignore[import-not-found]

EXPORTS, REPORT = Path(sys.argv[1]), Path(sys.argv[2])
SCRATCH = REPORT.parent / "scratch"
START, END, PADDING = "<|im_start|>", "<|im_end|>", "<|pad|>"
CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}
{%- for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] or '' }}
{%- for call in message['tool_calls'] or [] %}
{{- call['function']['name'] }}(
{%- for name, value in call['function']['arguments'] | items %}{{ name }}={{ value | tojson }}{% endfor %})
{%- endfor %}<|im_end|>\n{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"""
"""Like the templates of most models, it reads the arguments of a call as an object, not as a text."""
TRAINERS = {"trl-sft": (SFTTrainer, SFTConfig), "trl-dpo": (DPOTrainer, DPOConfig), "trl-kto": (KTOTrainer, KTOConfig)}


def main() -> None:
    REPORT.write_text(json.dumps({path.name: _read(path) for path in sorted(EXPORTS.iterdir())}))


def _read(path: Path) -> dict[str, object]:
    """The rows as `datasets` has them; for a format of TRL, also what its trainer says after one step."""
    rows = _loaded(path)
    found: dict[str, object] = {"rows": [dict(row) for row in rows]}
    export_format = path.name.partition(".")[0]
    if export_format in TRAINERS:
        found["is_conversational"] = all(is_conversational(row) for row in rows)
        found["loss"] = _loss(export_format, rows, SCRATCH / path.name)
    return found


def _loaded(path: Path) -> Dataset:
    if path.is_dir():
        splits = load_dataset(str(path))
        return next(iter(splits.values())) if len(splits) == 1 else splits["train"]
    loader = {".jsonl": "json", ".parquet": "parquet"}[path.suffix]
    return load_dataset(loader, data_files=str(path), split="train")


def _loss(export_format: str, rows: Dataset, folder: Path) -> float:
    trainer_class, config_class = TRAINERS[export_format]
    options = {"max_steps": 1, "per_device_train_batch_size": len(rows), "report_to": "none", "use_cpu": True}
    config = config_class(output_dir=str(folder), save_strategy="no", bf16=False, max_length=2048, **options)
    _model().save_pretrained(folder / "model")  # DPO and KTO load it a second time, as what they compare with
    model = str(folder / "model")
    trainer = trainer_class(model=model, args=config, train_dataset=rows, processing_class=_tokenizer())
    return float(trainer.train().training_loss)


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte, so that nothing has to be learned or fetched."""
    alphabet = {piece: number for number, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=PADDING,
        chat_template=CHAT_TEMPLATE,
    )


def _model() -> LlamaForCausalLM:
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=320, max_position_embeddings=4096, **shape))


if __name__ == "__main__":
    main()
