"""Fetching models from a server on this machine: whole, in pieces, broken, changed, absent."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace

import dagster as dg
import pytest
from click.testing import CliRunner

from analyzers import weights
from tests.media_server import MediaServer, Reply
from tiktok_assets.assets.weights import WEIGHTS
from tiktok_assets.cli import main
from tiktok_assets.weights import FetchError, choose_files, fetch

BODY = bytes(range(256)) * 2000
REPOSITORY = "nateraw/vit-age-classifier"
COMMIT = "a" * 40


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOK_ASSETS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with MediaServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url(""))
        yield server


def quiet(line):
    """Nothing is printed."""


def serve_file(server, monkeypatch, reply, **facts):
    """Let the registry's whisper be a file of this server."""
    file = weights.WeightFile("small.pt", url=server.add("/small.pt", reply), **facts)
    monkeypatch.setitem(weights.REGISTRY, "whisper", replace(weights.REGISTRY["whisper"], files=(file,), bytes=10))
    return server


def serve_repository(server, files, commit=COMMIT, stated=None):
    """A Hugging Face repository on this server, in the answers that huggingface_hub asks for."""
    stated = stated or files
    lfs = {n: {"sha256": hashlib.sha256(b).hexdigest(), "size": len(b), "pointerSize": 134} for n, b in stated.items()}
    siblings = [{"rfilename": n, "size": len(b), "blobId": "b" * 40, "lfs": lfs[n]} for n, b in stated.items()]
    tree = [
        {"type": "file", "path": n, "size": len(b), "oid": "b" * 40, "lfs": {"oid": lfs[n]["sha256"], **lfs[n]}}
        for n, b in stated.items()
    ]
    about = json.dumps({"id": REPOSITORY, "sha": commit, "siblings": siblings}).encode()
    api = f"/api/models/{REPOSITORY}"
    server.add(f"{api}/revision/main?blobs=true", Reply(about, "application/json"))
    server.add(f"{api}/tree/{commit}?recursive=true&expand=false", Reply(json.dumps(tree).encode(), "application/json"))
    for name, body in files.items():
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": commit}
        server.add(f"/{REPOSITORY}/resolve/{commit}/{name}", Reply(body, "application/octet-stream", headers=headers))


def kept_files(folder):
    """What a fetched model consists of, without the two files about it."""
    names = {p.name for p in folder.rglob("*")}
    assert names >= {weights.RECORD, weights.COMPARED}
    return sorted(names - {weights.RECORD, weights.COMPARED})


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def test_a_file_is_fetched_checked_and_fetched_only_once(server, monkeypatch):
    serve_file(server, monkeypatch, Reply(BODY), sha256=sha256(BODY))
    found = fetch("whisper", quiet)
    assert (found.folder / "small.pt").read_bytes() == BODY
    assert [(f.name, f.bytes, f.sha256) for f in found.files] == [("small.pt", len(BODY), sha256(BODY))]
    assert weights.verify("whisper") == fetch("whisper", quiet) == found
    assert server.range_starts("/small.pt") == [None]


def test_a_download_that_breaks_off_goes_on_where_it_ended(server, monkeypatch):
    serve_file(server, monkeypatch, Reply(BODY, cut_after_bytes=200_000), sha256=sha256(BODY))
    found = fetch("whisper", quiet)
    assert (found.folder / "small.pt").read_bytes() == BODY
    assert server.range_starts("/small.pt") == [None, 200_000]


def test_what_an_interrupted_command_left_is_kept_and_counts_as_half_fetched(server, monkeypatch):
    serve_file(server, monkeypatch, Reply(BODY, statuses=[200, 503, 503, 503], cut_after_bytes=200_000))
    with pytest.raises(FetchError, match=r"^whisper: .*small\.pt: HTTP Error 503"):
        fetch("whisper", quiet)
    assert "half fetched" in weights.complaint("whisper")
    server.replies["/small.pt"].statuses.clear()
    assert (fetch("whisper", quiet).folder / "small.pt").read_bytes() == BODY
    assert server.range_starts("/small.pt")[-1] == 200_000
    assert kept_files(weights.folder_of("whisper")) == ["small.pt"]


def test_a_server_without_ranges_sends_all_of_it_again(server, monkeypatch):
    reply = Reply(BODY, cut_after_bytes=200_000, ignores_ranges=True, statuses=[200, 503, 503, 503])
    serve_file(server, monkeypatch, reply, sha256=sha256(BODY))
    with pytest.raises(FetchError):
        fetch("whisper", quiet)
    reply.cut_after_bytes = None
    assert (fetch("whisper", quiet).folder / "small.pt").read_bytes() == BODY


@pytest.mark.parametrize(
    ("facts", "reply", "said"),
    [
        ({"sha256": sha256(b"other")}, Reply(BODY), "another checksum than its publisher states"),
        ({"md5": "0" * 32}, Reply(BODY), "another checksum than its publisher states"),
        ({}, Reply(BODY, statuses=[404]), "HTTP Error 404"),
    ],
)
def test_what_is_not_what_the_publisher_states_is_not_installed(server, monkeypatch, facts, reply, said):
    serve_file(server, monkeypatch, reply, **facts)
    with pytest.raises(FetchError, match=said):
        fetch("whisper", quiet)
    assert not weights.folder_of("whisper").exists(), "nothing of it is kept"


def test_an_archive_is_unpacked_and_its_content_checked(server, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("latin.pth", BODY)
        archive.writestr("../../escaped.txt", "not asked for")
    file = weights.WeightFile(
        "latin.pth", md5=hashlib.md5(BODY).hexdigest(), url=server.add("/latin.zip", Reply(packed.getvalue()))
    )
    broken = weights.WeightFile("other.pth", url=server.add("/other.zip", Reply(b"<html>no archive</html>")))
    about = replace(weights.REGISTRY["easyocr_de_en"], bytes=10)
    monkeypatch.setitem(weights.REGISTRY, "easyocr_de_en", replace(about, files=(file, broken)))
    with pytest.raises(FetchError, match=r"is not an archive with other\.pth"):
        fetch("easyocr_de_en", quiet)
    monkeypatch.setitem(weights.REGISTRY, "easyocr_de_en", replace(about, files=(file,)))
    folder = fetch("easyocr_de_en", quiet).folder
    assert kept_files(folder) == ["latin.pth"]
    assert (folder / "latin.pth").read_bytes() == BODY
    assert len(server.range_starts("/latin.zip")) == 1, "what was whole is not fetched again"


def test_of_a_repository_one_format_is_fetched_at_one_commit_with_its_checksums(server):
    files = {"config.json": b"{}", "model.safetensors": BODY, "pytorch_model.bin": b"old", "README.md": b"text"}
    serve_repository(server, files)
    found = fetch("face_age", quiet)
    assert (found.model, found.revision) == (REPOSITORY, COMMIT)
    assert [f.name for f in found.files] == ["config.json", "model.safetensors"]
    assert kept_files(found.folder) == ["config.json", "model.safetensors"]
    assert not any("pytorch_model" in seen.path for seen in server.seen)
    asked = len(server.seen)
    assert fetch("face_age", quiet) == found
    assert len(server.seen) == asked + 1, "only for the newest commit"


@pytest.mark.parametrize("damage", [lambda body: body[::-1], lambda body: body[:1000]], ids=["changed", "cut off"])
def test_fetching_a_damaged_model_again_repairs_it(server, damage):
    serve_repository(server, {"config.json": b"{}", "model.safetensors": BODY})
    file = fetch("face_age", quiet).folder / "model.safetensors"
    file.write_bytes(damage(BODY))
    assert "is damaged: model.safetensors" in weights.complaint("face_age")
    fetch("face_age", quiet)
    assert file.read_bytes() == BODY
    assert weights.complaint("face_age") is None


def test_a_newer_commit_replaces_the_older_one(server):
    serve_repository(server, {"config.json": b"{}", "model.safetensors": BODY})
    fetch("face_age", quiet)
    serve_repository(server, {"config.json": b"{}", "pytorch_model.bin": BODY}, commit="c" * 40)
    found = fetch("face_age", quiet)
    assert found.revision == "c" * 40
    assert kept_files(found.folder) == ["config.json", "pytorch_model.bin"]
    assert weights.revision_of("face_age") == f"{REPOSITORY}@cccccccccccc"


def test_a_repository_whose_file_is_not_what_its_list_states_is_not_installed(server):
    stated = {"config.json": b"{}", "model.safetensors": BODY}
    serve_repository(server, stated | {"model.safetensors": BODY[::-1]}, stated=stated)
    with pytest.raises(FetchError, match=f"model.safetensors is not what {REPOSITORY} states"):
        fetch("face_age", quiet)
    assert weights.installed("face_age") is None


def test_without_network_an_installed_model_stays(server, monkeypatch):
    serve_repository(server, {"config.json": b"{}", "model.safetensors": BODY})
    found = fetch("face_age", quiet)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FetchError, match=r"^face_age: no connection, or it broke off"):
        fetch("face_age", quiet)
    assert weights.installed("face_age") == found
    with pytest.raises(FetchError, match=r"^face_expression: no connection, or it broke off"):
        fetch("face_expression", quiet)
    assert "is not installed" in weights.complaint("face_expression")


def test_files_of_shards_and_of_formats_that_are_not_used():
    small = ["config.json", "tokenizer.json", "merges.txt", "chat_template.jinja", "model.safetensors.index.json"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    unused = ["README.md", "onnx/model.onnx", "flax_model.msgpack", "training_args.bin", "pytorch_model.bin", "LICENSE"]
    assert choose_files([*small, *shards, *unused]) == sorted([*small, *shards])
    assert choose_files([*small, *unused]) == sorted([*small, "pytorch_model.bin"])
    assert choose_files(["README.md", "onnx/model.onnx"]) == []


def test_the_command_lists_fetches_and_verifies(server, monkeypatch):
    serve_repository(server, {"config.json": b"{}", "model.safetensors": BODY})
    monkeypatch.setenv("COLUMNS", "80")
    run = CliRunner().invoke
    listed = run(main, ["weights", "list"])
    assert listed.exit_code == 0
    for name, model in weights.REGISTRY.items():
        assert name in listed.output
        assert model.model in listed.output
    assert "its model card states no licence" in listed.output
    assert "for qwen2_vl_temporal" in listed.output
    fetched = run(main, ["weights", "fetch", "face_age", "nonsense"])
    assert fetched.exit_code == 1
    assert f"✓ face_age: {REPOSITORY} at aaaaaaaaaaaa" in fetched.output
    assert "licence: none stated" in fetched.output
    assert "There are no weights 'nonsense'" in fetched.output
    assert run(main, ["weights", "verify"]).exit_code == 0
    (weights.folder_of("face_age") / "model.safetensors").write_bytes(BODY[::-1])
    verified = run(main, ["weights", "verify"])
    assert verified.exit_code == 1
    assert "model.safetensors has another checksum" in verified.output
    spoiled = run(main, ["weights", "list"])
    assert "✗ the model face_age is damaged: model.safetensors has another checksum" in spoiled.output
    assert spoiled.output.count("AGPL-3.0 covers services") == 1, "two models, one note"
    (weights.folder_of("face_age") / weights.RECORD).unlink()
    assert "half fetched" in run(main, ["weights", "list"]).output
    assert "Traceback" not in listed.output + fetched.output + verified.output + spoiled.output


def test_materializing_a_model_fetches_it_and_shows_revision_bytes_and_licence(server):
    asset = next(a for a in WEIGHTS if a.key.path == ["weights", "face_age"])
    failed = dg.materialize([asset], raise_on_error=False)
    assert not failed.success
    assert not (weights.weights_root() / "face_age").exists()
    serve_repository(server, {"config.json": b"{}", "model.safetensors": BODY})
    (made,) = dg.materialize([asset]).get_asset_materialization_events()
    shown = {name: value.value for name, value in made.materialization.metadata.items()}
    assert (shown["revision"], shown["bytes"], shown["licence"]) == (COMMIT, len(BODY) + 2, "none stated")
    assert weights.installed("face_age")
