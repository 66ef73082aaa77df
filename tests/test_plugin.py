from __future__ import annotations

import json
from pathlib import Path

from hub_server import HubServer, run_python
from test_bright import own_files as bright_files
from test_bright import table_of
from test_r2med import own_files as r2med_files

PLUGIN = "reasonrank_pyserini.ir_datasets_plugin"
RUN = "0 Q0 nowhere 1 3.0 x\n0 Q0 c 2 2.0 x\n1 Q0 c 1 2.0 x\n"

REGISTERED = f"""
import importlib, json, sys, ir_datasets
own = ir_datasets.create_dataset()
ir_datasets.registry.register("r2med/biology", own)
before = set(ir_datasets.registry)
import {PLUGIN} as plugin
plugin.register()
importlib.reload(plugin)
new = sorted(set(ir_datasets.registry) - before)
print(json.dumps([new, ir_datasets.load("r2med/biology").has("docs"), "huggingface_hub" in sys.modules]))
"""


def test_it_registers_once_skips_what_is_there_and_needs_no_network(tmp_path: Path) -> None:
    done = run_python("-c", REGISTERED, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    new, overwritten, hub = json.loads(done.stdout)
    assert len(new) == 20 * 6 + 8 - 1
    assert {"bright/biology/gpt4-reason", "bright/biology-long/reasoning", "r2med/medqa-diag"} < set(new)
    assert not {"bright/biology", "r2med/biology"} & set(new)
    assert (overwritten, hub) == (False, False)


CONTENT = f"""
import json, ir_datasets, {PLUGIN}
from reasonrank_pyserini import load_dataset
name = "bright/earth-science/gpt4-reason"
bright, medical = ir_datasets.load(name), ir_datasets.load("r2med/medqa-diag")
ours = load_dataset(name)
print(json.dumps({{
    "queries": list(bright.queries_iter()), "ours": [[q.id, q.text] for q in ours.queries()],
    "qrels": [list(j)[:3] for j in bright.qrels_iter()], "count": bright.docs_count(),
    "namespace": bright.docs_namespace(),
    "documents": [d.text for d in bright.docs_store().get_many(["c", "a b.txt"]).values()],
    "slice": [d.doc_id for d in bright.docs_iter()[1:3]],
    "medical": [list(medical.queries_iter()), [list(j)[:3] for j in medical.qrels_iter()], len(medical.docs)],
    "described": [ours.id, load_dataset("r2med/medqa-diag").id, len(bright.queries), len(bright.qrels.asdict())],
}}))
"""


def test_what_ir_datasets_sees(tmp_path: Path) -> None:
    files = bright_files()
    with HubServer({**files, **r2med_files()}) as server:
        environment = table_of(tmp_path, files)
        done = run_python("-c", CONTENT, folder=tmp_path, server=server, environment=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sorted(found.pop("documents")) == ["one", "two"]
    assert found == {
        "queries": [["0", "rewritten by GPT-4"]],
        "ours": [["0", "rewritten by GPT-4"]],
        "qrels": [["0", "a b.txt", 1], ["0", "c", 1], ["1", "c", 1]],
        "count": 121_249,
        "namespace": "bright/earth-science/gpt4-reason",
        "slice": ["c", "p_q"],
        "medical": [[["q", "Why?"]], [["q", "b c", 2], ["q", "a", 0]], 56_250],
        "described": ["bright/earth-science/gpt4-reason", "r2med/medqa-diag", 1, 2],
    }


def test_the_command_lines_of_ir_datasets_and_ir_measures(tmp_path: Path) -> None:
    files = bright_files()
    (tmp_path / "run.trec").write_text(RUN)
    measures = ["bright/earth-science/gpt4-reason", "run.trec", "RR@10", "R@10"]
    export = ["export", "r2med/medqa-diag", "queries"]
    one_line = f"import {PLUGIN}; from ir_measures.__main__ import main_cli; main_cli()"
    with HubServer({**files, **r2med_files()}) as server:
        environment = table_of(tmp_path, files)
        for command, expected in {
            ("-m", PLUGIN, "ir_datasets", *export): "q\tWhy?\n",
            ("-c", f"import {PLUGIN}, ir_datasets; ir_datasets.main_cli()", *export): "q\tWhy?\n",
            (
                "-m",
                PLUGIN,
                "ir_measures",
                *measures,
            ): f"RR@10\t{(1 / 2 + 1) / 2:.4f}\nR@10\t{(1 / 2 + 1) / 2:.4f}\n",
            ("-c", one_line, *measures): f"RR@10\t{(1 / 2 + 1) / 2:.4f}\nR@10\t{(1 / 2 + 1) / 2:.4f}\n",
        }.items():
            done = run_python(*command, folder=tmp_path, server=server, environment=environment)
            assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    for arguments, problem in {
        (): "unknown program '': known: ir_datasets, ir_measures",
        ("ir_dataset",): "did you mean 'ir_datasets'?",
        ("ir_datasets", "export", "r2med/biology", "qrels"): "and HF_HUB_OFFLINE is set",
    }.items():
        done = run_python("-m", PLUGIN, *arguments, folder=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert problem in done.stderr
        assert len(done.stderr.splitlines()) == 1
